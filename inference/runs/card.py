"""The card of a run: what it was made of, by which code, on which machine, and what came out.

Knows hashes and hardware. `compare` says whether a repeated run came out the same: numbers within a tolerance, times
and places left out, since no two machines agree on them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from inference.errors import WorkbenchError
from inference.runs.folder import RunFolder, write_text

_PACKAGES = ("torch", "transformers", "tokenizers", "peft", "accelerate", "bitsandbytes", "numpy", "safetensors")
_TIMED = ("seconds", "_ms", "per_second", "_s", "speedup", "hours")
_LIBRARY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Card:
    """`data` are the files that were read: {name, path, bytes, sha256}."""

    tool: str
    settings: dict[str, Any]
    data: list[dict[str, Any]]
    code: dict[str, Any]
    hardware: dict[str, Any]
    results: dict[str, Any]
    findings: list[str] = field(default_factory=list)
    finished_at: str = ""
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Card:
        """Raises WorkbenchError when there is none."""
        place = path / "card.json" if path.is_dir() else path
        try:
            return cls(**json.loads(place.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise WorkbenchError(f"{place} is not the card of a run ({error}).", hint="Name a run's folder.") from error

    def write(self, folder: RunFolder) -> None:
        if folder.writes:
            write_text(folder.path / "CARD.md", self.markdown())
            write_text(folder.path / "card.json", json.dumps(asdict(self), indent=1, ensure_ascii=False))

    def markdown(self) -> str:
        """For people; tables, one fact a line."""
        lines = [f"# Card: `python -m {self.tool}`", "", f"Finished {self.finished_at} after {self.seconds:.0f} s.", ""]
        lines += ["## Results", "", *_table(("what", "value"), _flat(self.results)), ""]
        if self.findings:
            lines += [
                "## What the monitors and the data checks say",
                "",
                *(f"- {words}" for words in self.findings),
                "",
            ]
        lines += ["## Settings", "", *_table(("setting", "value"), _flat(self.settings)), "", "## Data", ""]
        rows = [(item["name"], item["bytes"], f"`{item['sha256']}`") for item in self.data]
        lines += [*_table(("file", "bytes", "sha256"), rows), "", "## Code and machine", ""]
        lines += _table(("what", "value"), [*_flat(self.code), *_flat(self.hardware)])
        return "\n".join(lines) + "\n"


def made(
    folder: RunFolder, *, data: Sequence[Path], results: Mapping[str, Any], findings: Sequence[str], began: float
) -> Card:
    """The card of a run that has just finished; `began` is `time.time()` at its start. Also written to the folder."""
    card = Card(
        tool=folder.tool,
        settings=folder.settings,
        data=[described(path) for path in data],
        code=code(),
        hardware=hardware(),
        results=json.loads(json.dumps(results)),
        findings=list(findings),
        finished_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seconds=round(time.time() - began, 1),
    )
    card.write(folder)
    return card


def described(path: Path) -> dict[str, Any]:
    """A file, or a folder (a model) by all its files together."""
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for item in files:
        with item.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(digest.encode() if path.is_dir() else b"")
    size = sum(item.stat().st_size for item in files)
    return {
        "name": path.name,
        "path": str(path),
        "bytes": size,
        "sha256": whole.hexdigest() if path.is_dir() else digest,
    }


def code() -> dict[str, Any]:
    """Digest of this library's sources, the commit when there is a repository, versions of what it stands on."""
    whole = hashlib.sha256()
    for path in sorted(_LIBRARY.rglob("*.py")):
        whole.update(f"{path.relative_to(_LIBRARY)}\0".encode() + path.read_bytes())
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"sha256": whole.hexdigest(), "commit": _commit(), "python": platform.python_version(), **versions}


def hardware() -> dict[str, Any]:
    """Processor, memory, graphics cards."""
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
    if torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return found


def compare(first: Mapping[str, Any], second: Mapping[str, Any], *, tolerance: float) -> list[str]:
    """Differences of two results in words; empty when they are the same. `tolerance` is relative."""
    a, b = dict(_flat(first)), dict(_flat(second))
    found = []
    for key in sorted(set(a) | set(b)):
        if any(key.endswith(word) for word in _TIMED):
            continue
        if key not in a or key not in b:
            found.append(f"{key}: only in one of the two")
        elif isinstance(a[key], (int, float)) and isinstance(b[key], (int, float)):
            if not math.isclose(a[key], b[key], rel_tol=tolerance, abs_tol=tolerance * 1e-3):
                found.append(f"{key}: {a[key]} and {b[key]}")
        elif a[key] != b[key]:
            found.append(f"{key}: {a[key]!r} and {b[key]!r}")
    return found


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            for number, item in enumerate(value):
                yield from _flat(item, f"{before}{key}.{number}.")
        else:
            yield f"{before}{key}", value


def _table(head: Sequence[str], rows: Any) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


def _commit() -> str:
    command = ["git", "-C", str(_LIBRARY), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
