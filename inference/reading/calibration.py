"""From what the reader and the words say to one probability that the quotations answer the question.

A small network of one hidden layer over standardised numbers, fitted on questions whose articles the reader had not
seen (``inference.training.finish``). Pure numpy; its weights are part of ``reader.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.errors import ModelCorrupt
from inference.reading.features import ANSWER_FEATURES, Floats

SKIPPED = 3
INPUTS = ("answer", "margin", "gap", "share", *ANSWER_FEATURES[SKIPPED:])


def inputs(answer: float, margin: float, logits: Floats, facts: Floats) -> Floats:
    """The calibration's numbers, shape ``(len(INPUTS),)``: the reader's logits, how far the best sentence leads, and
    the facts of ``answer_features``.
    """
    top = np.sort(logits)[::-1][:2]
    gap = min(float(top[0] - top[1]), 10.0) if len(top) > 1 else 10.0
    share = 1.0 / float(np.exp(logits - top[0]).sum())
    return np.concatenate(([answer, margin, gap, share], facts[SKIPPED:]))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights: ``hidden (k, h)``, ``hidden_bias (h,)``, ``out (h,)``, ``bias``; inputs are ``(x - mean) / scale``."""

    mean: Floats
    scale: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats
    bias: float

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Calibration:
        """From the ``calibration`` object of ``reader.json``. Raises ``ModelCorrupt`` when it does not fit."""
        try:
            rows: Sequence[Floats] = [
                np.asarray(data[name], dtype=np.float64) for name in ("mean", "scale", "hidden", "hidden_bias", "out")
            ]
            found = cls(rows[0], rows[1], rows[2], rows[3], rows[4], float(data["bias"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelCorrupt(f"reader.json cannot be read: {error}", file="reader.json") from error
        width = len(found.out)
        if found.mean.shape != (len(INPUTS),) or found.hidden.shape != (len(INPUTS), width):
            raise ModelCorrupt("reader.json was made for other inputs", file="reader.json")
        return found

    def probability(self, values: Floats) -> float:
        """Probability, 0 to 1."""
        state = np.tanh((values - self.mean) / self.scale @ self.hidden + self.hidden_bias)
        return 1.0 / (1.0 + math.exp(-float(np.clip(state @ self.out + self.bias, -30.0, 30.0))))
