"""From what the reader and the encoder say to one probability that the quotations answer the question.

A logistic regression over five numbers, fitted on questions asked of whole sets of passages
(``inference.training.weighing``). How many words question and answer share is left out on purpose: it sharpens the
probability on public sets, whose questions copy words, and misjudges the paraphrases that colleagues write. Pure
numpy; its weights are part of ``reader.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.errors import ModelCorrupt
from inference.reading.features import Floats

WEIGHED = 4
INPUTS = ("answer", "margin", "gap", "share", "cosine")


def inputs(answer: float, margin: float, logits: Floats, cosine: float) -> Floats:
    """The calibration's numbers, shape ``(len(INPUTS),)``: the reader's logits, how far the best of the ``WEIGHED``
    sentences leads, and its cosine to the question.
    """
    top = np.sort(logits)[::-1]
    gap = min(float(top[0] - top[1]), 10.0) if len(top) > 1 else 10.0
    share = 1.0 / float(np.exp(logits - top[0]).sum())
    return np.asarray((answer, margin, gap, share, cosine))


@dataclass(frozen=True, slots=True)
class Calibration:
    """``weights (k,)`` and ``bias`` over inputs standardised by ``mean`` and ``scale``; ``latin`` and ``cjk`` are how
    much a cosine adds to a sentence's logit, by the script of the question.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float
    latin: float
    cjk: float

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Calibration:
        """From the ``calibration`` object of ``reader.json``. Raises ``ModelCorrupt`` when it does not fit."""
        try:
            mean, scale, weights = (np.asarray(data[name], dtype=np.float64) for name in ("mean", "scale", "weights"))
            found = cls(mean, scale, weights, float(data["bias"]), float(data["latin"]), float(data["cjk"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelCorrupt(f"reader.json cannot be read: {error}", file="reader.json") from error
        if any(row.shape != (len(INPUTS),) for row in (mean, scale, weights)):
            raise ModelCorrupt("reader.json was made for other inputs", file="reader.json")
        return found

    def probability(self, values: Floats) -> float:
        """Probability, 0 to 1."""
        logit = float((values - self.mean) / self.scale @ self.weights) + self.bias
        return 1.0 / (1.0 + math.exp(-min(max(logit, -30.0), 30.0)))
