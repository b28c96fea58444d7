"""A second look at the best candidates of a question, with their text: do its words stand together?

Knows a question, a few passages with their first score, and a handful of weights. Does not know indexes, permissions,
documents or models: the caller loads only text that may be read, and nothing but these passages enters a score.

BM25 counts words wherever they stand and a vector blurs them. Four features, each standardised over the candidates,
are added to the first stage's score:

- pairs: how much of the question's neighbouring pairs of words stands together, at most two apart (the ordered
  dependence of Metzler and Croft 2005, "A Markov random field model for term dependencies");
- run: the longest stretch of the question that stands there word for word;
- window: how much of the question, by rarity among the candidates, lies within `WINDOW` words;
- numbers: the share of its numbers, dates and part numbers.

Their weight shrinks with the number of words in the question: of a paragraph, no passage repeats the pairs. They are
added to questions only. A statement is searched to be supported or refuted in other words, and keywords have no
order: both stay as the first stage ranked them. Weights and the ablation behind these choices: `retrieval/RANKING.md`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.fusion import standardised, unfolded
from retrieval.text import normalize, tokenize, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = ("pairs", "run", "window", "numbers")
WEIGHTS = Path(__file__).with_name("ranking.json")
DEPTH = 20  # candidates that are looked at
WINDOW = 20  # words
SHORT = 6  # words of a question in which order tells as much as it can
_HAN_WORDS = 3  # terms that stand for one word: single characters and pairs of them
_QUESTION = re.compile(
    r".*[?？]|.*(?:什么|甚麼|什麼|多少|哪|谁|誰|怎|如何|几|幾|何|吗|嗎|呢|是否|为什|為什)|"
    r"(?:(?:and|but|so|in|on|at|by|for|from|to|of|with|under|until|since|about) )*"
    r"(?:who|whom|whose|what|which|when|where|why|how|is|are|was|were|do|does|did|can|could|may|must|shall|should|will|"
    r"would|has|have|had)\b"
)


def is_question(text: str) -> bool:
    """Does it ask? By its mark, its first word, or a Chinese question word."""
    return bool(_QUESTION.match(normalize(text)))


@lru_cache(maxsize=1)
def trained() -> Mapping[str, float]:
    """The weights that come with the library, one a feature."""
    values = json.loads(WEIGHTS.read_text(encoding="utf-8"))["weights"]
    return {name: float(values[name]) for name in FEATURES}


def order(
    question: str, scores: Sequence[float], passages: Sequence[str], weights: Mapping[str, float] | None = None
) -> list[int]:
    """Places of the candidates, best first; they are given in the order of their first `scores`.

    Those behind the first `DEPTH` stay where they are, and so do all when nothing is asked.
    """
    places = list(range(len(passages)))
    head = places[:DEPTH]
    if len(head) < 2 or not is_question(question):
        return places
    chosen = trained() if weights is None else weights
    first = unfolded(np.asarray(scores[:DEPTH], dtype=np.float64))
    added = features(question, passages[:DEPTH]) @ np.array([chosen[name] for name in FEATURES])
    mixed = np.round(first + added, 9)  # the order of a sum is the machine's affair
    return [*sorted(head, key=lambda place: (-mixed[place], place)), *places[DEPTH:]]


def features(question: str, passages: Sequence[str]) -> NDArray[np.float64]:
    """(passages, `FEATURES`), standardised over the passages and scaled to the length of the question."""
    asked = tokenize(question)
    # Dates are looked for where one is asked about: elsewhere they take a third of the time and add nothing.
    read = tokenize if any("-" in term for term in asked) else words
    texts = [_Places(asked, read(passage)) for passage in passages]
    weights = _rarity(asked, texts)
    numbers = {term for term in weights if any(character.isdigit() for character in term)}
    columns = (
        [text.pairs(weights) for text in texts],
        [float(text.run()) for text in texts],
        [text.window(weights) for text in texts],
        [float(len(numbers & text.where.keys())) for text in texts],
    )
    length = len(weights) / (1 if question.isascii() else _HAN_WORDS)
    scale = min(1.0, SHORT / max(1.0, length))
    return scale * np.stack([standardised(np.array(column)) for column in columns], axis=1)


class _Places:
    """Where the terms of the question stand in one passage."""

    def __init__(self, asked: Sequence[str], terms: Sequence[str]) -> None:
        self._asked = asked
        wanted = set(asked)
        self._events = [(place, term) for place, term in enumerate(terms) if term in wanted]
        self.where: dict[str, set[int]] = {}
        for place, term in self._events:
            self.where.setdefault(term, set()).add(place)

    def pairs(self, weights: Mapping[str, float]) -> float:
        total = 0.0
        for first, second in dict.fromkeys(pairwise(self._asked)):
            after = self.where.get(second)
            if after and any(p + 1 in after or p + 2 in after for p in self.where.get(first, ())):
                total += min(weights[first], weights[second])
        return total

    def run(self) -> int:
        places: dict[str, list[int]] = {}
        for number, term in enumerate(self._asked):
            places.setdefault(term, []).append(number)
        ends: dict[tuple[int, int], int] = {}
        for place, term in self._events:
            for number in places[term]:
                ends[place, number] = ends.get((place - 1, number - 1), 0) + 1
        return max(ends.values(), default=0)

    def window(self, weights: Mapping[str, float]) -> float:
        counts: dict[str, int] = {}
        best = held = 0.0
        first = 0
        for place, term in self._events:
            counts[term] = counts.get(term, 0) + 1
            if counts[term] == 1:
                held += weights[term]
            while self._events[first][0] < place - WINDOW:
                old = self._events[first][1]
                counts[old] -= 1
                if not counts[old]:
                    held -= weights[old]
                first += 1
            best = max(best, held)
        return best


def _rarity(asked: Sequence[str], texts: Sequence[_Places]) -> dict[str, float]:
    """Share of each term in the question, by its rarity among the candidates; sums to 1."""
    rows = len(texts)
    counts = {term: sum(term in text.where for text in texts) for term in dict.fromkeys(asked)}
    rarity = {term: math.log(1.0 + (rows - count + 0.5) / (count + 0.5)) for term, count in counts.items()}
    total = sum(rarity.values())
    return {term: value / total for term, value in rarity.items()}
