"""The rule of the alarm: what it promises about false alarms, and what it must see."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from assistant.quality import drift
from assistant.quality.marks import Mark, risk, summary


def run(chance: np.random.Generator, right: float, count: int = 100) -> list[Mark]:
    return [
        Mark(True, True, ndcg=float(chance.uniform()), second=bool(chance.uniform() < right), grounded=1.0)
        for _ in range(count)
    ]


def test_the_chance_is_the_share_of_signs_that_fall_as_far():
    changes = np.array([-0.5, -0.25, 0.1, -0.4, 0.0])
    every = [sum(signs) for signs in product(*((-abs(x), abs(x)) for x in changes if x))]
    assert drift.worse(changes) == pytest.approx(np.mean([total <= changes.sum() + 1e-9 for total in every]))
    assert drift.worse(np.array([0.5, 0.0])) == 1.0
    assert drift.worse(np.zeros(9)) == 1.0


def test_drawn_signs_come_near_the_exact_chance():
    changes = np.array([-1.0] * 14 + [1.0] * 6)
    exact = sum(np.prod([20 - k for k in range(6 - n)]) / np.prod(range(1, 7 - n)) for n in range(7)) / 2**20
    assert drift.worse(changes) == pytest.approx(exact, rel=0.1)


def test_holm_corrects_step_by_step():
    assert drift.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert drift.holm([]) == []


def test_two_runs_of_the_same_quality_hardly_ever_raise_an_alarm():
    chance = np.random.default_rng(7)
    alarms = sum(any(change.alarm for change in drift.compare(run(chance, 0.8), run(chance, 0.8))) for _ in range(200))
    assert alarms <= 6  # LEVEL is 1 %: more than 6 of 200 would come about once in 200 times; the draw is seeded


def test_a_clear_fall_is_seen_and_named():
    chance = np.random.default_rng(3)
    before = run(chance, 1.0)
    now = [Mark(True, True, ndcg=old.ndcg, second=bool(n % 7), grounded=1.0) for n, old in enumerate(before)]
    found = {change.measure: change for change in drift.compare(before, now)}
    assert found["second"].alarm
    assert found["second"].high < 0
    assert not found["ndcg"].alarm
    assert found["ndcg"].now == found["ndcg"].before


def test_an_improvement_is_no_alarm():
    chance = np.random.default_rng(5)
    assert not any(change.alarm for change in drift.compare(run(chance, 0.5), run(chance, 0.9)))


def test_fewer_questions_than_the_rule_needs_never_raise_it():
    before = [Mark(True, True, second=True)] * (drift.FEWEST - 1)
    now = [Mark(True, True, second=False)] * (drift.FEWEST - 1)
    assert not any(change.alarm for change in drift.compare(before, now))
    before, now = before + before[:1], now + now[:1]
    assert any(change.alarm for change in drift.compare(before, now))


def test_runs_of_other_questions_are_not_compared():
    with pytest.raises(ValueError, match="different questions"):
        drift.compare([Mark(True, True)], [])


def test_risk_counts_answers_to_what_has_none_as_wrong():
    marks = [
        Mark(True, True, sure=0.9, second=True),
        Mark(False, True, sure=0.8),
        Mark(True, True, sure=0.7, second=True),
        Mark(True, False, sure=0.1),
        Mark(False, False, sure=0.0),
    ]
    assert risk(marks) == {"0.2": 0.0, "0.4": 0.5, "0.6": 0.3333}
    found = summary(marks)
    assert (found["silence"], found["abstained"], found["answered"]) == (0.6, 0.5, 0.6667)
    assert Mark.of(marks[0].row()) == marks[0]
