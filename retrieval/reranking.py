"""A second look at the best candidates, with their text: which passage holds a sentence that answers?

Knows a question, a few passages and the embedder. Does not know indexes, permissions or documents: the caller
loads only text that may be read.

The first stage sees a passage as one vector and one bag of words; a passage of ten sentences of which one answers
looks average on both. The reranker looks at sentences (late interaction, in the spirit of ColBERT, Khattab and
Zaharia 2020, https://arxiv.org/abs/2004.12832, with the sentence in the place of the token, which is what this
model was trained to represent) and adds three features to the first stage's score, each standardised over the
candidates, with weights found on development data:

- the best cosine of a sentence with the question,
- the best mean of cosine and IDF-weighted share of the question's terms within one sentence,
- how much of the question's neighbouring word pairs stand together: phrases and names.

The cosines count as little as the dense leg where the model cannot read the question.

Sentences are embedded when they are first seen and kept in a bounded cache, since the same passages come back
with the next question; hand the same `CachingEmbedder` to whatever else embeds these sentences.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from retrieval.embedding import Embedder
from retrieval.fusion import dense_share, standardised
from retrieval.text import sentences, tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

COSINE, SENTENCE, PHRASE = 0.3, 0.2, 0.15
LONGEST = 40  # sentences of one passage that are looked at


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage (title and headings may stand before it, a line each) and its score from the first stage."""

    text: str
    score: float


class CachingEmbedder:
    """An `Embedder` that remembers the last `size` texts; safe to share between threads."""

    def __init__(self, embedder: Embedder, size: int = 20_000) -> None:
        self._embedder = embedder
        self._size = size
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def model_id(self) -> str:
        """Of the embedder inside."""
        return self._embedder.model_id

    @property
    def dimension(self) -> int:
        """Of the embedder inside."""
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        """Of the embedder inside."""
        return self._embedder.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Of the embedder inside."""
        return self._embedder.count_tokens(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the embedder inside; only texts not seen lately are computed."""
        with self._lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
        fresh = list(dict.fromkeys(text for text in texts if text not in known))
        known.update(zip(fresh, self._embedder.embed(fresh), strict=True))
        with self._lock:
            for text in texts:
                self._cache[text] = known[text]
                self._cache.move_to_end(text)
            while len(self._cache) > self._size:
                self._cache.popitem(last=False)
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.stack([known[text] for text in texts])

    def clear(self) -> None:
        """Forget every text: part of erasing a document."""
        with self._lock:
            self._cache.clear()


class Reranker:
    """Orders the candidates of one question; `depth` bounds how many are looked at."""

    def __init__(self, embedder: Embedder, *, depth: int = 20) -> None:
        self._embedder = embedder
        self._depth = depth

    def order(self, question: str, vector: NDArray[np.floating], candidates: Sequence[Candidate]) -> list[int]:
        """Places of the candidates, best first. `vector` is the question's embedding, unit length.

        Candidates behind the first `depth`, taken in the given order, keep their order behind the others.
        """
        head = candidates[: self._depth]
        scores = self.scores(question, vector, head)
        order = sorted(range(len(head)), key=lambda place: (-scores[place], place))
        return [*order, *range(len(head), len(candidates))]

    def scores(
        self, question: str, vector: NDArray[np.floating], candidates: Sequence[Candidate]
    ) -> NDArray[np.float64]:
        """One score a candidate, (n,), comparable within this call only."""
        if not candidates:
            return np.empty(0)
        trust = dense_share(question, 1.0)
        texts = [self._sentences(candidate.text) for candidate in candidates]
        flat = [sentence for passage in texts for sentence in passage]
        cosines = (self._embedder.embed(flat) @ np.asarray(vector, np.float32)).astype(np.float64)
        terms = tokenize(question)
        bags = [[tokenize(sentence) for sentence in passage] for passage in texts]
        weights = _weights(terms, bags)
        nearest, sentence, phrase = np.zeros((3, len(candidates)))
        start = 0
        for place, passage in enumerate(bags):
            cosine = cosines[start : start + len(passage)]
            start += len(passage)
            share = np.array([_covered(weights, bag) for bag in passage])
            nearest[place] = cosine.max()
            sentence[place] = (0.5 * trust * cosine + 0.5 * share).max()
            phrase[place] = _together(terms, weights, [term for bag in passage for term in bag])
        first = np.array([candidate.score for candidate in candidates])
        return np.asarray(
            standardised(first)
            + COSINE * trust * standardised(nearest)
            + SENTENCE * standardised(sentence)
            + PHRASE * standardised(phrase)
        )

    @staticmethod
    def _sentences(text: str) -> list[str]:
        return [text[start:end] for start, end in sentences(text)[:LONGEST]] or [text]


def _weights(terms: Sequence[str], bags: Sequence[Sequence[Sequence[str]]]) -> dict[str, float]:
    """Share of each question term in the question's weight, by its rarity among the candidates; sums to 1."""
    rows = len(bags)
    seen = [{term for bag in passage for term in bag} for passage in bags]
    rarity = {
        term: math.log(1.0 + (rows - count + 0.5) / (count + 0.5))
        for term in dict.fromkeys(terms)
        for count in [sum(term in passage for passage in seen)]
    }
    total = sum(rarity.values())
    return {term: value / total for term, value in rarity.items()}


def _covered(weights: dict[str, float], bag: Sequence[str]) -> float:
    present = set(bag)
    return sum(weight for term, weight in weights.items() if term in present)


def _together(terms: Sequence[str], weights: dict[str, float], text: Sequence[str]) -> float:
    """Weight of the question's neighbouring pairs that stand in this order, at most two apart."""
    places: dict[str, list[int]] = {}
    for place, term in enumerate(text):
        if term in weights:
            places.setdefault(term, []).append(place)
    total = 0.0
    for first, second in dict.fromkeys(pairwise(terms)):
        after = set(places.get(second, ()))
        if any(place + 1 in after or place + 2 in after for place in places.get(first, ())):
            total += min(weights[first], weights[second])
    return total
