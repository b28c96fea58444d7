"""Has it become worse? A run of the golden set against the reference run of the same set, question by question.

The rule, fixed before anything was measured. For each of four measures the differences of the two runs on the same
questions are put to a one-sided sign-flip test (Fisher's randomization test for pairs): if nothing had changed, each
difference could as well have the other sign. The four chances are corrected together (Holm 1979) and held against
LEVEL, so that a run in which nothing has become worse raises an alarm with a chance of at most LEVEL. Against a fixed
reference slow drift adds up until it is seen. Whoever was given what they may not read is an alarm by itself. Intervals
are of the paired bootstrap (Efron 1979) and are there to be read, not to decide.

Knows marks alone. Time is left out: on a shared machine it says more about the neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .marks import Mark

LEVEL = 0.01
FLIPS = 20_000
RESAMPLES = 2_000
EXACT = 14  # up to so many questions that differ, every combination of signs is counted
FEWEST = 9  # questions that must differ before an alarm is possible at all: 2 ** -9 < LEVEL / 4
MEASURES = ("ndcg", "second", "silence", "grounded")

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """One measure in both runs, over the questions that have it in both. `low` to `high`: 95 % of the change."""

    measure: str
    questions: int
    before: float
    now: float
    low: float
    high: float
    chance: float  # of a fall like this one if nothing had changed; corrected for the number of measures
    alarm: bool

    def row(self) -> dict[str, Any]:
        return asdict(self)


def compare(reference: Sequence[Mark], latest: Sequence[Mark]) -> list[Change]:
    """A change for each measure that the questions speak of; those of one set, in the same order.

    Raises ValueError when the runs do not have the same questions.
    """
    if len(reference) != len(latest):
        raise ValueError("the runs have different questions")
    pairs = [(name, _values(reference, latest, name)) for name in MEASURES]
    found = [(name, before, now) for name, (before, now) in pairs if len(before)]
    unspoken = [1.0] * (len(MEASURES) - len(found))  # corrected for all four, whatever these questions speak of
    chances = holm([*(worse(now - before) for _, before, now in found), *unspoken])[: len(found)]
    return [
        Change(
            name,
            len(before),
            round(float(before.mean()), 4),
            round(float(now.mean()), 4),
            *interval(now - before),
            round(chance, 5),
            chance < LEVEL,
        )
        for (name, before, now), chance in zip(found, chances, strict=True)
    ]


def worse(changes: Numbers) -> float:
    """The chance of a mean at least this low if each change could as well have the other sign. 1 when none fell."""
    moved = changes[changes != 0]
    if not len(moved) or moved.sum() >= 0:
        return 1.0
    if len(moved) <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(moved))))
        return float(np.mean(signs @ np.abs(moved) <= moved.sum() + 1e-9))
    chance = np.random.default_rng(1)
    signs = chance.choice((1.0, -1.0), size=(FLIPS, len(moved)))
    return float((1 + np.count_nonzero(signs @ np.abs(moved) <= moved.sum() + 1e-9)) / (FLIPS + 1))


def holm(chances: Sequence[float]) -> list[float]:
    """Each chance corrected for all of them (Holm's step-down), in the given order."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    corrected = [0.0] * len(chances)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, chances[index] * (len(chances) - place)))
        corrected[index] = highest
    return corrected


def interval(changes: Numbers) -> tuple[float, float]:
    """95 % of the mean change, by drawing questions anew."""
    chance = np.random.default_rng(1)
    drawn = chance.integers(0, len(changes), size=(RESAMPLES, len(changes)))
    low, high = np.percentile(changes[drawn].mean(axis=1), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _values(reference: Sequence[Mark], latest: Sequence[Mark], name: str) -> tuple[Numbers, Numbers]:
    """Both runs' values where both have one; what stands in the sentences counts for answerable questions only."""
    rows = [
        (float(before), float(now))
        for old, new in zip(reference, latest, strict=True)
        if (name != "second" or new.answerable)
        and (before := getattr(old, name)) is not None
        and (now := getattr(new, name)) is not None
    ]
    both: Numbers = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
