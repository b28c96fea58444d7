"""How long and how many connections are kept, whichever database they lead to."""

from __future__ import annotations

from assistant.backends.idle import Idle, Key

HERE = Key("here")


class Line:
    """A connection of which is known whether it was closed."""

    def __init__(self, *, good: bool = True) -> None:
        self.good = good
        self.open = True

    def close(self) -> None:
        self.open = False


def test_one_that_answers_no_more_is_closed_and_the_next_one_lent():
    pool: Idle[Line] = Idle(lambda line: True, answers=lambda line: line.good)
    good, bad = Line(), Line(good=False)
    assert pool.put(HERE, good)
    assert pool.put(HERE, bad)
    assert pool.take(HERE) is good
    assert (good.open, bad.open) == (True, False)
    assert pool.take(HERE) is None


def test_one_that_nobody_used_for_too_long_is_closed():
    pool: Idle[Line] = Idle(lambda line: True, seconds=-1)  # over at once
    first, second = Line(), Line()
    assert pool.put(HERE, first)
    assert pool.put(HERE, second)
    assert not first.open
    assert pool.take(HERE) is None
    assert not second.open


def test_one_that_is_busy_is_not_kept():
    pool: Idle[Line] = Idle(lambda line: line.good)
    assert not pool.put(HERE, Line(good=False))
    assert len(pool) == 0
