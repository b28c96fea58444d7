"""Vectors of one segment in FAISS, searched exactly and only where they may be.

Knows rows, runs of rows and dot products. Does not know partitions' meaning, documents or words.

Why this index. An inverted file whose lists are *runs of one partition* is used without its coarse quantizer: the
caller names the lists to scan (`search_preassigned`), so the search is flat, and its cost follows the rows that may
be read, from a handful to a million. Approximate structures (IVF proper, HNSW) lose most of the right results under a
narrow permission filter, are trained on rows that may not be read, and a flat index with a bitmap still walks over
all of those (FAISS, Douze et al. 2024, https://arxiv.org/abs/2401.08281). One index for every size therefore: at
10,000 rows a scan takes a fraction of a millisecond, at a million it is bound by memory, which is what the two
planes are for. One call uses one thread: the caller spreads segments over threads.

Two planes. A component is a whole number of 2^-15 (`GRID`), 16 bits, rounded alike wherever the row lies. Divided by
the segment's `step` it is one byte, and those bytes are FAISS's (`QT_8bit_uniform`, its range given and not trained;
`QT_8bit_direct_signed` would cut the query to whole numbers) and all that a scan reads: half of float16's memory
traffic. The remainders, a byte too, lie beside them and are read for candidates alone. What a remainder can add to a
dot product is bounded (Cauchy-Schwarz over the longest one of the segment), so that whoever asks for every row within
`slack` of a floor misses none: first pass and re-scoring together are exact, and nothing about a result depends on
which rows share a segment.

Exactness. FAISS accumulates in float32 in an order that depends on the processor, so its scores choose candidates
only. Components of a query are float16 values, multiples of 2^-24, those of a row multiples of 2^-15: a sum of a few
hundred products of unit vectors needs fewer than 53 bits, and a float64 dot product is therefore *exact* in any
order, on any machine. Ranks and ties derive from those exact values.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 1 << 15  # steps in 1.0
_LARGEST = 127 * 255 + 127  # the largest component that two bytes can hold: 0.992
_HALF = 128  # a signed number is stored as a byte by adding it
# More than the error of a float32 dot product of two unit vectors of a few hundred components.
TOLERANCE = 1e-4


def on_grid(vectors: NDArray[np.floating]) -> NDArray[np.int16]:
    """Components between -1 and 1 as whole numbers of 1/`GRID`; those beyond 0.992 become that."""
    scaled = np.rint(np.asarray(vectors, dtype=np.float32) * GRID)
    return np.asarray(np.clip(scaled, -_LARGEST, _LARGEST).astype(np.int16))


class Scan:
    """Lists of one index that a search may look at, in the form that FAISS takes. Immutable, safe to share."""

    __slots__ = ("_held", "ignored_pointer", "lists_pointer", "parameters")

    def __init__(self, lists: NDArray[np.int64], alive: NDArray[np.uint8] | None, rows: int) -> None:
        wanted = np.ascontiguousarray(lists, dtype=np.int64)
        ignored = np.zeros(len(wanted), dtype=np.float32)  # distances to centroids, of which there are none
        self.lists_pointer = faiss.swig_ptr(wanted)
        self.ignored_pointer = faiss.swig_ptr(ignored)
        self.parameters: Any = faiss.SearchParametersIVF()
        self.parameters.nprobe = len(wanted)
        selector: Any = None
        if alive is not None:
            selector = faiss.IDSelectorBitmap(rows, faiss.swig_ptr(alive))
            self.parameters.sel = selector
        self._held = (wanted, ignored, alive, selector)  # FAISS has their addresses only


class DenseIndex:
    """Rows in two planes, grouped into FAISS lists; immutable, safe to search from several threads."""

    def __init__(self, vectors: NDArray[np.int16], run_starts: NDArray[np.int64]) -> None:
        """`vectors` (rows, dimension) from `on_grid`; `run_starts` the first row of every run, ascending from 0."""
        rows, dimension = vectors.shape
        self.rows = rows
        self.dimension = dimension
        self._starts = np.append(run_starts, rows)
        self._step = max(1, -(-int(np.abs(vectors).max(initial=0)) // (_HALF - 1)))
        lists = len(self._starts) - 1
        self._quantizer = faiss.IndexFlatIP(dimension)
        # FAISS's own stubs know less than the library: the object is used untyped.
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._quantizer,
            dimension,
            max(lists, 1),
            faiss.ScalarQuantizer.QT_8bit_uniform,
            faiss.METRIC_INNER_PRODUCT,
        )
        self._index.by_residual = False
        # FAISS decodes a byte as lowest + (byte + 0.5) / 255 * range: here, the signed number that it stands for.
        faiss.copy_array_to_vector(np.array([-_HALF - 0.5, 255.0], dtype=np.float32), self._index.sq.trained)
        self._index.is_trained = True
        inverted: Any = self._index.invlists
        self._low = np.empty((rows, dimension), dtype=np.int8)
        longest = 0
        for number, (start, end) in enumerate(pairwise(self._starts.tolist())):
            run = vectors[start:end].astype(np.int32)
            high = (run + self._step // 2) // self._step
            low = self._low[start:end] = run - high * self._step
            longest = max(longest, int(np.square(low).sum(axis=1).max(initial=0)))
            codes = (high + _HALF).astype(np.uint8).reshape(-1)
            ids = np.arange(start, end, dtype=np.int64)
            inverted.add_entries(number, end - start, faiss.swig_ptr(ids), faiss.swig_ptr(codes))
        self._index.ntotal = rows
        self._index.make_direct_map()
        self._remainder = float(np.sqrt(longest)) / GRID

    def slack(self, length: float) -> float:
        """How far a score of `top` may be from the exact one, at most, for a query of this Euclidean length."""
        return 1.000001 * length * self._remainder + TOLERANCE * max(1.0, length)

    def scan(self, lists: NDArray[np.int64], alive: NDArray[np.uint8] | None) -> Scan:
        """What `top` is to look at, prepared once for many questions.

        `alive` is a little-endian bitmap of the rows that count, None for all."""
        return Scan(lists, alive, self.rows)

    def top(self, query: NDArray[np.float64], scan: Scan, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best `k` rows by the high plane: scores within `slack`, row numbers, best first."""
        scores = np.empty(k, dtype=np.float32)
        rows = np.empty(k, dtype=np.int64)
        scaled = (query * (self._step / GRID)).astype(np.float32)
        self._index.search_preassigned_c(
            1,
            faiss.swig_ptr(scaled),
            k,
            scan.lists_pointer,
            scan.ignored_pointer,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(rows),
            False,
            scan.parameters,
        )
        if rows[-1] < 0:  # fewer rows than asked for; the places behind them are marked
            found = rows >= 0
            return scores[found], rows[found]
        return scores, rows

    def exact(self, query: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exact dot products of the given rows, ascending, with a query whose components are float16 values."""
        if not len(rows):
            return np.empty(0)
        values = self._high(rows)
        values *= self._step
        values += self._low[rows]  # whole numbers all along: exact in any type that holds them
        return np.asarray(values.astype(np.float64) @ query / GRID)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """The given rows, ascending, as they were given to the constructor."""
        return np.asarray(self._high(rows).astype(np.int16) * np.int16(self._step) + self._low[rows])

    def _high(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The high plane of the given rows, whole numbers."""
        high = np.empty((len(rows), self.dimension), dtype=np.float32)
        if len(rows):
            wanted = np.ascontiguousarray(rows, dtype=np.int64)
            self._index.reconstruct_batch_c(len(rows), faiss.swig_ptr(wanted), faiss.swig_ptr(high))
        return np.rint(high, out=high)

    def matrix(self) -> NDArray[np.int16]:
        """A copy of all rows in order."""
        return self.vectors(np.arange(self.rows))
