"""Options of search, checked when they are built. Sizes of passages are `retrieval.chunking.ChunkingOptions`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrieverOptions:
    """How a replica scores.

    `k1` and `b` are BM25's, within the usual range (Robertson and Zaragoza 2009, "The Probabilistic Relevance
    Framework", section 3.5; 1.5 is also the default of bm25s); the idf is Lucene's, never negative.
    `candidates` rows of each leg take part in the fusion. `dense_weight` is the share of the dense leg for
    text the model understands.
    """

    k1: float = 1.5
    b: float = 0.75
    candidates: int = 100
    dense_weight: float = 0.5

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and 0 <= self.b <= 1):
            raise ValueError("k1 is at least 0, and b lies between 0 and 1")
        if self.candidates < 1:
            raise ValueError("candidates is at least 1")
        if not 0 <= self.dense_weight <= 1:
            raise ValueError("dense_weight lies between 0 and 1")
