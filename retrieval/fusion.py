"""One score out of two: how the dense and the lexical leg are combined.

Knows two arrays of scores and one query text. Does not know indexes, rows or documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.text import cjk_share

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dense_share(query: str, weight: float) -> float:
    """Weight of the dense leg for this query: `weight` scaled by the part the English model can read."""
    return weight * (1.0 - cjk_share(query))


def fuse(dense: NDArray[np.float64], lexical: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Convex combination of both legs, each scaled by what its best candidate reaches."""
    if not len(dense):
        return np.empty(0, dtype=np.float64)
    best = float(lexical.max())
    words = lexical / best if best > 0 else np.zeros_like(lexical)
    low, high = float(dense.min()), float(dense.max())
    meaning = (dense - low) / (high - low) if high > low else np.zeros_like(dense)
    return np.asarray(share * meaning + (1.0 - share) * words)
