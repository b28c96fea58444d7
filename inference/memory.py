"""How much memory a block of work takes at its worst, on the processor (Linux) or on the CUDA devices.

Knows the kernel's and CUDA's counters. Does not know models.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from types import TracebackType

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident_bytes(field: str = "VmRSS") -> int:
    """A line of this process's status in bytes: VmRSS is memory now, VmHWM the most since the counter was cleared."""
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


@lru_cache(maxsize=1)
def _trimmer() -> object:
    """glibc's malloc_trim; None where the C library has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None


def give_back() -> None:
    """Return what was freed to the system.

    Between blocks that stay, glibc keeps the holes that larger ones left; a model loaded weight by weight then takes
    two to three times its size, most of it empty.
    """
    if callable(trim := _trimmer()):
        trim(0)


class Peak:
    """`with Peak("cpu") as peak: …`; afterwards `peak.bytes` is the most that was in use beyond what was before.

    On a CUDA device: of all cards together, as a model may lie on several; each card's own most, added up.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._cuda = device.startswith("cuda")
        self.bytes = 0
        self._before: list[int] = []

    def __enter__(self) -> Peak:
        if self._cuda:
            from torch import cuda

            for card in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(card)
            self._before = [cuda.memory_allocated(card) for card in range(cuda.device_count())]
        else:
            give_back()  # else what was freed before is filled first, and not counted
            _CLEAR.write_text("5", encoding="ascii")  # see proc(5): resets the high-water mark
            self._before = [resident_bytes()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cuda:
            from torch import cuda

            most = [cuda.max_memory_allocated(card) for card in range(cuda.device_count())]
        else:
            most = [resident_bytes("VmHWM")]
        self.bytes = sum(max(0, after - before) for before, after in zip(self._before, most, strict=True))
