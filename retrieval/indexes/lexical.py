"""Postings of one segment: which rows contain a term, and how often, in numpy arrays.

Knows hashed terms, row numbers and counts. Does not know partitions, documents, scores or text: BM25 itself is
computed in `retrieval.bm25`, where the rows that may be read are known.

Why not a library. Search engines and BM25 packages keep document frequencies for the whole index; ours
must be those of the readable rows alone, so they are counted from the postings at question time, and no
stored statistic exists that could tell of other rows. A posting takes three bytes (16-bit row, 8-bit count):
segments are bounded at 65,536 rows for that. A term is kept as eight bytes of BLAKE2b, so the index holds
no readable words; two different terms meet with a probability of one in 10^7 for two million terms, and
would then only be counted as one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROWS = 1 << 16
MAX_COUNT = 255


@lru_cache(maxsize=50_000)
def term_hash(term: str) -> int:
    """The eight bytes that stand for a term, as an unsigned integer; the same in every process."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


class LexicalIndex:
    """Postings sorted by term, then row. Immutable. `offsets[i]` to `offsets[i + 1]` belong to `terms[i]`."""

    __slots__ = ("counts", "offsets", "rows", "terms")

    def __init__(
        self,
        terms: NDArray[np.uint64],
        offsets: NDArray[np.uint32],
        rows: NDArray[np.uint16],
        counts: NDArray[np.uint8],
    ) -> None:
        self.terms = terms
        self.offsets = offsets
        self.rows = rows
        self.counts = counts

    @classmethod
    def build(cls, rows: Sequence[Sequence[str]]) -> LexicalIndex:
        """From the terms of each row, in order."""
        hashes = np.array([term_hash(term) for terms in rows for term in terms], dtype=np.uint64)
        numbers = np.repeat(np.arange(len(rows), dtype=np.uint64), [len(terms) for terms in rows])
        terms, owners = np.unique(hashes, return_inverse=True)
        keys, counts = np.unique((owners.astype(np.uint64) << np.uint64(16)) | numbers, return_counts=True)
        return cls._pack(terms, keys, np.minimum(counts, MAX_COUNT).astype(np.uint64))

    @classmethod
    def merge(cls, parts: Sequence[tuple[LexicalIndex, NDArray[np.int64]]]) -> LexicalIndex:
        """From several indexes and, for each, the new number of every row, -1 for rows that are left out."""
        terms = np.unique(np.concatenate([index.terms for index, _ in parts]))
        keys: list[NDArray[np.uint64]] = []
        for index, numbers in parts:
            sizes = index.offsets[1:].astype(np.int64) - index.offsets[:-1]
            owners = np.repeat(np.searchsorted(terms, index.terms), sizes)
            targets = numbers[index.rows]
            kept = targets >= 0
            key = (owners[kept].astype(np.uint64) << np.uint64(16)) | targets[kept].astype(np.uint64)
            keys.append((key << np.uint64(8)) | index.counts[kept].astype(np.uint64))
        merged = np.sort(np.concatenate(keys))
        return cls._pack(terms, merged >> np.uint64(8), merged & np.uint64(MAX_COUNT))

    @classmethod
    def _pack(cls, terms: NDArray[np.uint64], keys: NDArray[np.uint64], counts: NDArray[np.uint64]) -> LexicalIndex:
        """`keys` are (index into `terms`) << 16 | row, ascending. Terms without postings are dropped."""
        sizes = np.bincount((keys >> np.uint64(16)).astype(np.int64), minlength=len(terms))
        used = sizes > 0
        offsets = np.concatenate(([0], np.cumsum(sizes[used]))).astype(np.uint32)
        rows = (keys & np.uint64(MAX_ROWS - 1)).astype(np.uint16)
        return cls(terms[used], offsets, rows, counts.astype(np.uint8))

    def postings(self, terms: NDArray[np.uint64]) -> list[tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
        """For each hashed term the rows, ascending, that contain it, and how often; both empty when none does."""
        places = np.searchsorted(self.terms, terms)
        found: list[tuple[NDArray[np.uint16], NDArray[np.uint8]]] = []
        for place, term in zip(places.tolist(), terms.tolist(), strict=True):
            start = end = 0
            if place < len(self.terms) and int(self.terms[place]) == term:
                start, end = int(self.offsets[place]), int(self.offsets[place + 1])
            found.append((self.rows[start:end], self.counts[start:end]))
        return found

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return self.terms.nbytes + self.offsets.nbytes + self.rows.nbytes + self.counts.nbytes
