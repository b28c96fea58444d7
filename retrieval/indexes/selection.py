"""The rows of one segment that a search may touch.

Knows partitions as stretches of rows, and which rows are alive. Does not know who asks, nor how rows are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.indexes.dense import Scan
    from retrieval.indexes.segment import LiveSegment


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Live rows of the wanted partitions in one segment; there is at least one.

    `rows` and `length` count those rows and their terms. `stretch` is their place when they are one unbroken
    run of the segment, else `mask` says which rows count.
    """

    part: LiveSegment
    rows: int
    length: int
    stretch: tuple[int, int]
    mask: NDArray[np.bool_] | None
    scan: Scan

    @classmethod
    def of(cls, part: LiveSegment, wanted: NDArray[np.int64]) -> Selection | None:
        """What `wanted`, ascending partition numbers, selects; None when that is nothing."""
        segment = part.segment
        if not len(wanted) or wanted[0] > segment.partitions[-1] or wanted[-1] < segment.partitions[0]:
            return None
        places = np.searchsorted(wanted, segment.partitions)
        places[places == len(wanted)] = 0
        chosen = np.flatnonzero((wanted[places] == segment.partitions) & (part.counts > 0))
        if not len(chosen):
            return None
        starts, ends = segment.partition_starts[chosen], segment.partition_starts[chosen + 1]
        stretch = (int(starts[0]), int(ends[-1]))
        mask: NDArray[np.bool_] | None = None
        if stretch[1] - stretch[0] != int((ends - starts).sum()):
            mask = np.zeros(segment.rows, dtype=np.bool_)
            mask[_ranges(starts, ends)] = True
            if part.alive is not None:
                mask &= part.alive
        elif part.alive is not None:
            mask = part.alive
        return cls(
            part=part,
            rows=int(part.counts[chosen].sum()),
            length=int(part.lengths[chosen].sum()),
            stretch=stretch,
            mask=mask,
            scan=segment.dense.scan(chosen, part.bitmap),
        )

    def postings(self, terms: NDArray[np.uint64]) -> list[tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
        """For each hashed term the selected rows, ascending, that contain it, and how often."""
        found = self.part.segment.lexical.postings(terms)
        start, end = self.stretch
        if start > 0 or end < self.part.segment.rows:
            # Bounds in the rows' own type: with any other, numpy would convert the whole list first.
            first, last = np.uint16(start), np.uint16(end - 1)
            for place, (rows, counts) in enumerate(found):
                if len(rows):
                    low, high = int(rows.searchsorted(first)), int(rows.searchsorted(last, side="right"))
                    found[place] = rows[low:high], counts[low:high]
        if self.mask is not None:
            for place, (rows, counts) in enumerate(found):
                if len(rows):
                    kept = self.mask[rows]
                    found[place] = rows[kept], counts[kept]
        return found

    def all_rows(self) -> NDArray[np.int64]:
        """Every selected row, ascending."""
        start, end = self.stretch
        return np.arange(start, end) if self.mask is None else np.flatnonzero(self.mask[start:end]) + start

    def nearest(self, query: NDArray[np.float64], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `k` selected rows with the largest dot product, roughly (`DenseIndex.slack`): scores and rows."""
        return self.part.segment.dense.top(query, self.scan, k)


def _ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers of the half-open ranges, one after the other."""
    sizes = ends - starts
    offsets = np.cumsum(sizes) - sizes
    return np.asarray(np.repeat(starts - offsets, sizes) + np.arange(int(sizes.sum())))
