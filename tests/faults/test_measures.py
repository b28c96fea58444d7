"""What the long commands measure with, on numbers whose answer is known."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from tests import soak
from tests.benchmarks.silence import auc


def test_growth_is_that_of_the_end_against_the_settled_beginning():
    warming = [10] * 10
    steady = soak.grown([*warming, *[100_000_000] * 90])
    assert steady == {"first_mb": 100.0, "last_mb": 100.0, "growth": 0.0}
    growing = soak.grown([100_000_000 + 1_000_000 * at for at in range(100)])
    assert growing["growth"] == pytest.approx(0.699, abs=0.01)


def test_calls_are_fine_told_to_come_back_or_wrong():
    tally = soak.Tally()
    for status in (200, 202, 429, 500, 404):
        tally.add("call", SimpleNamespace(status_code=status))
    tally.add("call", ConnectionError("refused"))
    assert tally.outcomes == Counter(fine=2, later=1, wrong=3)
    assert len(tally.wrong) == 3


def test_the_area_is_a_half_for_the_same_and_one_for_the_slower():
    times = np.arange(100.0)
    assert auc(times, times) == 0.5
    assert auc(times + 1000, times) == 1.0
    assert auc(times, times + 1000) == 0.0
