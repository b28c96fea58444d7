"""How much memory a block of work takes at its worst, on the processor (Linux) or on a CUDA device.

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
    """`with Peak("cpu") as peak: …`; afterwards `peak.bytes` is the most that was in use beyond what was before."""

    def __init__(self, device: str = "cpu") -> None:
        self._cuda = device if device.startswith("cuda") else ""
        self.bytes = 0
        self._before = 0

    def __enter__(self) -> Peak:
        if self._cuda:
            from torch import cuda

            cuda.reset_peak_memory_stats(self._cuda)
            self._before = cuda.memory_allocated(self._cuda)
        else:
            give_back()  # else what was freed before is filled first, and not counted
            _CLEAR.write_text("5", encoding="ascii")  # see proc(5): resets the high-water mark
            self._before = resident_bytes()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cuda:
            from torch import cuda

            self.bytes = cuda.max_memory_allocated(self._cuda) - self._before
        else:
            self.bytes = max(0, resident_bytes("VmHWM") - self._before)
