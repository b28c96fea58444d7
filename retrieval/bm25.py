"""The words' leg: BM25 over the rows that may be read, exact, without scoring every row.

Knows selections (rows of segments), terms and BM25's formula. Does not know vectors, fusion, people or texts.

BM25 is Robertson and Zaragoza's (2009, "The Probabilistic Relevance Framework", section 3), its inverse document
frequency Lucene's, log(1 + (N - n + 0.5) / (n + 0.5)), never negative. N, n and the mean length are counted from the
selected rows at question time: no stored statistic could tell of others. That rules out precomputed impacts
(bm25s, block-max indexes), whose scores hold for one corpus only.

What is left out, safely. Terms are taken by their upper bound idf * (k1 + 1), the rare ones first. As soon as the
bounds of the rest add up to less than the best `depth` rows already have, no row without one of the terms taken can
be among the best, and the common terms, most of all postings, are looked up for the remaining candidates only
(MaxScore: Turtle and Flood 1995, "Query evaluation: strategies and optimizations"). Sums made on the way choose
candidates; scores are computed anew, term by term in the order of the query, so that they are the same bits
whatever was left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.indexes.lexical import term_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.config import RetrieverOptions
    from retrieval.indexes.selection import Selection

    Postings = tuple[NDArray[np.uint16], NDArray[np.uint8]]

_AT_ONCE = 20_000  # postings that are scored without asking whether they could be left out
_LOOKUP = 10  # looking a row up in a term's postings takes as long as scoring so many postings
_ROUNDING = 1e-9  # of a sum: more than the error of any order of adding up a question's terms


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """One term of the question that occurs: its weight, and its postings in each selection."""

    weight: float
    frequency: int
    postings: Sequence[Postings]


class WordScores:
    """BM25 of one question over one set of selections. `terms` are its terms, each as often as it counts."""

    def __init__(self, selections: Sequence[Selection], terms: Mapping[str, float], options: RetrieverOptions) -> None:
        self._selections = selections
        self._options = options
        rows = sum(selection.rows for selection in selections)
        self._mean = max(sum(selection.length for selection in selections) / rows, 1.0)
        hashes = np.array([term_hash(term) for term in terms], dtype=np.uint64)
        found = [selection.postings(hashes) for selection in selections]
        self._terms: list[_Term] = []
        for place, count in enumerate(terms.values()):
            postings = [each[place] for each in found]
            frequency = sum(len(numbers) for numbers, _ in postings)
            if frequency:
                idf = count * math.log(1.0 + (rows - frequency + 0.5) / (frequency + 0.5))
                self._terms.append(_Term(idf, frequency, postings))

    def scores(self, place: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """BM25 of the given rows, ascending, of the selection at `place`; 0 where no term occurs."""
        sums = np.zeros(len(rows))
        if not len(rows):
            return sums
        lengths = self._selections[place].part.segment.lengths[rows]
        wanted = rows.astype(np.uint16)
        for term in self._terms:
            numbers, counts = term.postings[place]
            if len(numbers):
                at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
                here = np.flatnonzero(numbers[at] == wanted)
                sums[here] += term.weight * self._share(counts[at[here]], lengths[here])
        return sums

    def candidates(self, depth: int) -> list[NDArray[np.int64]]:
        """Rows of each selection that are among the best `depth` by words, ties at the end included, ascending."""
        sums, bound, floor = self._sums(depth)
        rows: list[NDArray[np.int64]] = []
        values: list[NDArray[np.float64]] = []
        for place, (selection, partial) in enumerate(zip(self._selections, sums, strict=True)):
            near = np.empty(0, dtype=np.int64)
            if partial is not None:
                near = np.flatnonzero((partial > 0.0) & (partial >= floor - bound)) + selection.stretch[0]
            rows.append(near)
            values.append(self.scores(place, near))
        floor = nth_largest(np.concatenate(values), depth)
        return [each[scores >= floor] for each, scores in zip(rows, values, strict=True)]

    def _sums(self, depth: int) -> tuple[list[NDArray[np.float64] | None], float, float]:
        """Sums over the terms that matter, per selection and row of its stretch; what the other terms could add at
        most; and what the best `depth` rows have at least (minus rounding)."""
        sums: list[NDArray[np.float64] | None] = [None] * len(self._selections)
        rest = sorted(self._terms, key=lambda term: term.weight)
        floor = -math.inf
        while rest:
            bound = (self._options.k1 + 1.0) * sum(term.weight for term in rest)
            if floor > bound * (1.0 + _ROUNDING):
                near = sum(int(np.count_nonzero(values >= floor - bound)) for values in _present(sums))
                if _LOOKUP * near * len(rest) <= sum(term.frequency for term in rest):
                    return sums, bound, floor
            taken, size = [rest.pop()], 0
            while rest and size + rest[-1].frequency <= _AT_ONCE:
                size += rest[-1].frequency
                taken.append(rest.pop())
            for place in range(len(self._selections)):
                sums[place] = self._added(sums[place], place, taken)
            # The floor is needed only while there is something to leave out.
            if rest:
                floor = _best(sums, depth) * (1.0 - _ROUNDING)
        return sums, 0.0, _best(sums, depth) * (1.0 - _ROUNDING)

    def _added(
        self, sums: NDArray[np.float64] | None, place: int, terms: Sequence[_Term]
    ) -> NDArray[np.float64] | None:
        """`sums` of one selection with the scores of further terms."""
        here = [(term.weight, *term.postings[place]) for term in terms if len(term.postings[place][0])]
        if not here:
            return sums
        selection = self._selections[place]
        start, end = selection.stretch
        numbers = np.concatenate([numbers for _, numbers, _ in here])
        counts = np.concatenate([counts for _, _, counts in here])
        weights = np.repeat([weight for weight, _, _ in here], [len(numbers) for _, numbers, _ in here])
        scores = weights * self._share(counts, selection.part.segment.lengths[numbers])
        places = numbers.astype(np.intp) - start
        if sums is None:
            return np.bincount(places, weights=scores, minlength=end - start).astype(np.float64, copy=False)
        np.add.at(sums, places, scores)
        return sums

    def _share(self, counts: NDArray[np.uint8], lengths: NDArray[np.uint32]) -> NDArray[np.float64]:
        """The part of BM25 between 0 and k1 + 1 that depends on the row."""
        k1, b = self._options.k1, self._options.b
        tf = counts.astype(np.float64)
        return np.asarray(tf * (k1 + 1.0) / (tf + k1 * (1.0 - b + b * (lengths / self._mean))))


def nth_largest(values: NDArray[np.floating], n: int) -> float:
    """The n-th largest value, or minus infinity when there are fewer."""
    if len(values) < n:
        return -math.inf
    return float(np.partition(values, len(values) - n)[len(values) - n])


def _best(sums: Sequence[NDArray[np.float64] | None], depth: int) -> float:
    """The `depth`-th largest positive value of all, or minus infinity."""
    floor = 0.0
    pool = np.empty(0)
    for values in _present(sums):
        pool = np.concatenate([pool, values[values > floor]])
        if len(pool) >= depth:
            floor = nth_largest(pool, depth)
            pool = pool[pool >= floor]
    return floor if len(pool) >= depth else -math.inf


def _present(sums: Sequence[NDArray[np.float64] | None]) -> Iterator[NDArray[np.float64]]:
    return (values for values in sums if values is not None)
