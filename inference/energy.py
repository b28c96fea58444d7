"""How much energy a block of work takes, where the machine tells: RAPL's counters of processors, the power of cards.

RAPL (Linux, `powercap`): micro-joules per package, beginning anew after `max_energy_range_uj`; most systems let only
root read them. Cards: `nvidia-smi`, power times the time between two looks. Whole packages and all cards are counted,
whatever else runs on them and idle power with it. Knows counters. Does not know models.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

POWERCAP = Path("/sys/class/powercap")
UNTOLD = "not told by this machine"
_SECONDS = 1.0  # between two looks; a package's counter takes minutes to begin anew
_QUERY = ("--query-gpu=power.draw", "--format=csv,noheader,nounits")


class Energy:
    """`with Energy(device) as energy: …`; afterwards `energy.joules`, None where the machine does not tell.

    Cards count only when `device` is one. `source` says in words what was counted.
    """

    def __init__(self, device: str = "cpu", *, powercap: Path | None = None, tool: str = "nvidia-smi") -> None:
        self._tool = shutil.which(tool) if device.startswith("cuda") else None
        self._packages = packages(powercap or POWERCAP)
        self._last: dict[Path, int] = {}
        self._watts: float | None = None
        self._when = 0.0
        self._sum = {"processor": 0.0, "cards": 0.0}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.joules: float | None = None
        self.source = UNTOLD

    def __enter__(self) -> Energy:
        self._last = {path: found for path in self._packages if (found := _number(path / "energy_uj")) is not None}
        if len(self._last) < len(self._packages):
            self._last.clear()  # a part of the machine is no answer
        self._watts, self._when = watts(self._tool), time.monotonic()
        if self._last or self._watts is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.look()
        told = [*(["processor"] if self._last else []), *(["cards"] if self._watts is not None else [])]
        if told:
            self.joules, self.source = sum(self._sum[name] for name in told), ", ".join(told)

    def look(self) -> None:
        """Add what was taken since the last look. Processors or cards that stop telling are left out altogether."""
        for path, before in list(self._last.items()):
            now, whole = _number(path / "energy_uj"), _number(path / "max_energy_range_uj")
            if now is None or (now < before and whole is None):
                self._last.clear()
                break
            if now < before:
                before -= whole or 0
            self._sum["processor"] += (now - before) / 1e6
            self._last[path] = now
        if self._watts is not None:
            power, when = watts(self._tool), time.monotonic()
            if power is not None:
                self._sum["cards"] += (self._watts + power) / 2 * (when - self._when)
            self._watts, self._when = power, when

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS):
            self.look()


def packages(powercap: Path) -> list[Path]:
    """Folders of whole packages: their parts are counted in them, and a platform counts them once more."""
    found = sorted(powercap.glob("intel-rapl:*"))  # AMD's bear this name too
    return [path for path in found if path.name.count(":") == 1 and _text(path / "name").startswith("package")]


def watts(tool: str | None) -> float | None:
    """What all cards take now; None where it is not told."""
    if tool is None:
        return None
    try:
        done = subprocess.run([tool, *_QUERY], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return sum(map(float, done.stdout.split()))
    except (OSError, subprocess.SubprocessError, ValueError):  # no driver, or a card that says [N/A]
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None
