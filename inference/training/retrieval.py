"""A small BM25 over the passages of one question set: where near misses and open-book windows come from."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from inference.engines.base import Passage
from inference.reading import words


def _bag(text: str) -> list[str]:
    terms = words.terms(text)
    pairs = [a + b for a, b in pairwise(terms) if words.is_cjk(a) and words.is_cjk(b)]
    return [term for term in terms if term not in words.STOP] + pairs


class Bm25:
    """BM25 (k1 1.2, b 0.75) with character pairs for Chinese."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        bags = [Counter(_bag(f"{passage.title} {passage.text}")) for passage in passages]
        self._sizes = np.asarray([sum(bag.values()) or 1 for bag in bags], dtype=np.float64)
        self._mean = float(self._sizes.mean())
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, bag in enumerate(bags):
            for term, count in bag.items():
                self._postings[term].append((number, count))
        self._total = len(bags)

    def top(self, question: str, limit: int) -> list[int]:
        """Numbers of the best passages, best first."""
        scores = np.zeros(self._total)
        for term in dict.fromkeys(_bag(question)):  # in one order: sums are rounded
            postings = self._postings.get(term)
            if not postings:
                continue
            numbers = np.asarray([number for number, _ in postings])
            counts = np.asarray([count for _, count in postings], dtype=np.float64)
            idf = math.log(1 + (self._total - len(postings) + 0.5) / (len(postings) + 0.5))
            scores[numbers] += idf * counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * self._sizes[numbers] / self._mean))
        order = np.argsort(-scores, kind="stable")[:limit]
        return [int(number) for number in order if scores[number] > 0]
