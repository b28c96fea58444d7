"""The packaged linear model over sentence features: which sentence, and whether any.

Weights are JSON: ``{"sentence": {"latin": [...], "cjk": [...]}, "prior": {...}, "answer": [...]}``, in the order of
``SENTENCE_FEATURES`` and ``ANSWER_FEATURES``. Knows no tensor library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from inference.engines.base import Passage
from inference.errors import ModelCorrupt
from inference.reading.features import (
    ANSWER_FEATURES,
    SENTENCE_FEATURES,
    Floats,
    Query,
    Sentence,
    answer_features,
)


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Weights of the sentence score, one set per script, and of the probability of an answer."""

    latin: Floats
    cjk: Floats
    answer: Floats
    prior_latin: Floats
    prior_cjk: Floats

    @classmethod
    def packaged(cls) -> LinearModel:
        """The model of this package. Raises ``ModelCorrupt`` when the file does not fit the features."""
        return cls.parse(files(__package__).joinpath("linear.json").read_text("utf-8"))

    @classmethod
    def parse(cls, text: str) -> LinearModel:
        try:
            data = json.loads(text)
            latin = np.asarray(data["sentence"]["latin"], dtype=np.float64)
            cjk = np.asarray(data["sentence"]["cjk"], dtype=np.float64)
            prior_latin = np.asarray(data["prior"]["latin"], dtype=np.float64)
            prior_cjk = np.asarray(data["prior"]["cjk"], dtype=np.float64)
            answer = np.asarray(data["answer"], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelCorrupt(f"linear.json cannot be read: {error}", file="linear.json") from error
        weights = (latin, cjk, prior_latin, prior_cjk)
        if any(row.shape != (len(SENTENCE_FEATURES),) for row in weights) or answer.shape != (len(ANSWER_FEATURES),):
            raise ModelCorrupt("linear.json was made for other features", file="linear.json")
        return cls(latin, cjk, answer, prior_latin, prior_cjk)

    def scores(self, query: Query, features: Floats) -> Floats:
        """Logits of the sentences, shape ``(n,)``; their softmax is the chance of each to hold the answer."""
        return features @ (self.cjk if query.cjk else self.latin)

    def prior(self, query: Query, features: Floats) -> Floats:
        """As ``scores``, from words alone (no cosine): what the reader's window is chosen by."""
        return features @ (self.prior_cjk if query.cjk else self.prior_latin)

    def answerable(
        self,
        query: Query,
        passages: Sequence[Passage],
        sentences: Sequence[Sentence],
        features: Floats,
        logits: Floats,
    ) -> float:
        """Probability that the best sentence answers."""
        found = answer_features(query, passages, sentences, features, logits)
        return 1.0 / (1.0 + math.exp(-float(np.clip(found @ self.answer, -30.0, 30.0))))
