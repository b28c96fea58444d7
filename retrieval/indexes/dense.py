"""Vectors of one segment in FAISS, searched exactly and only where they may be.

Knows rows, runs of rows and dot products. Does not know partitions' meaning, documents or words.

Why this index. Rows are stored as float16 (`ScalarQuantizer.QT_fp16`): half of float32's memory and memory
traffic at full recall (FAISS, Douze et al. 2024, https://arxiv.org/abs/2401.08281). An inverted file whose
lists are *runs of one partition* is used without its coarse quantizer: the
caller names the lists to scan (`search_preassigned`), so the search is flat and exact, and its cost
follows the rows that may be read, from a handful to all. Approximate structures (IVF proper, HNSW) lose
most of the right results under a narrow permission filter, and a flat index with a bitmap still walks over
every row that may not be read. One call uses one thread: the caller spreads segments over threads.

Exactness. FAISS accumulates in float32 in an order that depends on the processor, so its scores choose
candidates only. Queries and rows are both float16: a product is a multiple of 2^-48, the sum of a few hundred
such products of unit vectors needs fewer than 53 bits, and a float64 dot product is therefore *exact* in
any order, on any machine. Ranks and ties derive from those exact values.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Twice the largest error of a float32 dot product of two unit vectors of a few hundred components, with room.
TOLERANCE = 1e-4


class DenseIndex:
    """float16 rows grouped into FAISS lists; immutable, safe to search from several threads."""

    def __init__(self, vectors: NDArray[np.float16], run_starts: NDArray[np.int64]) -> None:
        """`vectors` (rows, dimension); `run_starts` the first row of every run, ascending from 0."""
        rows, dimension = vectors.shape
        self.rows = rows
        self.dimension = dimension
        self._starts = np.append(run_starts, rows)
        lists = len(self._starts) - 1
        self._quantizer = faiss.IndexFlatIP(dimension)
        # FAISS's own stubs know less than the library: the object is used untyped.
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._quantizer, dimension, max(lists, 1), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self._index.by_residual = False
        self._index.is_trained = True
        inverted: Any = self._index.invlists
        data = np.ascontiguousarray(vectors, dtype=np.float16)
        ids = np.arange(rows, dtype=np.int64)
        for number in range(lists):
            start, end = int(self._starts[number]), int(self._starts[number + 1])
            codes = data[start:end].view(np.uint8)
            inverted.add_entries(number, end - start, faiss.swig_ptr(ids[start:end]), faiss.swig_ptr(codes.reshape(-1)))
        self._index.ntotal = rows
        self._views: list[NDArray[np.float16] | None] = [None] * lists

    def top(
        self, query: NDArray[np.float32], lists: NDArray[np.int64], k: int, alive: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best `k` rows of the named lists: approximate scores and row numbers, best first.

        `alive` is a little-endian bitmap of the rows that count, None for all.
        """
        scores = np.empty((1, k), dtype=np.float32)
        rows = np.empty((1, k), dtype=np.int64)
        wanted = np.ascontiguousarray(lists, dtype=np.int64)
        ignored = np.zeros(len(wanted), dtype=np.float32)
        parameters: Any = faiss.SearchParametersIVF()
        parameters.nprobe = len(wanted)
        selector: Any = None
        if alive is not None:
            selector = faiss.IDSelectorBitmap(self.rows, faiss.swig_ptr(alive))
            parameters.sel = selector
        self._index.search_preassigned_c(
            1,
            faiss.swig_ptr(query),
            k,
            faiss.swig_ptr(wanted),
            faiss.swig_ptr(ignored),
            faiss.swig_ptr(scores),
            faiss.swig_ptr(rows),
            False,
            parameters,
        )
        found = rows[0] >= 0
        return scores[0][found], rows[0][found]

    def exact(self, query: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exact dot products of the given rows, ascending, with a query whose components are float16 values."""
        vectors = np.empty((len(rows), self.dimension), dtype=np.float64)
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(rows)]
        for start, end in pairwise(cuts):
            if start < end:
                number = int(owners[start])
                vectors[start:end] = self._view(number)[rows[start:end] - self._starts[number]]
        return np.asarray(vectors @ query)

    def matrix(self) -> NDArray[np.float16]:
        """A copy of all rows in order."""
        return np.concatenate([self._view(number) for number in range(len(self._starts) - 1)])

    def _view(self, number: int) -> NDArray[np.float16]:
        """The memory of one FAISS list as an array; valid while this object lives."""
        view = self._views[number]
        if view is None:
            length = int(self._starts[number + 1] - self._starts[number])
            raw = faiss.rev_swig_ptr(self._index.invlists.get_codes(number), length * self.dimension * 2)
            view = self._views[number] = np.asarray(raw.view(np.float16).reshape(length, self.dimension))
        return view
