"""The clock over an engine: followed, and stopped within a step."""

from __future__ import annotations

import threading

import pytest

from inference import benchmark
from inference.engines.base import Delta, Finish


class Endless:
    """An engine that answers until somebody cancels; then it says so."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.cancelled = 0

    def stream(self, request, *, cancelled):
        self.begun.release()
        while not cancelled():
            yield Delta("text", "word ")
        self.cancelled += 1
        yield Finish("cancelled", 3, 5)


class Brief:
    def stream(self, request, *, cancelled):
        yield Delta("text", "word")
        yield Finish("stop", 3, 5)


class Stopped(Exception):
    """What a stopped job raises."""


def test_what_told_raises_ends_every_answer_under_way():
    engine, users = Endless(), 3

    def told(done):
        assert done == 0
        for _ in range(users):
            assert engine.begun.acquire(timeout=60)
        raise Stopped

    requests = [benchmark.question(number, 8) for number in range(10)]
    with pytest.raises(Stopped):
        benchmark.speed(engine, requests, users=users, told=told)
    assert engine.cancelled == users


def test_every_request_is_answered_and_counted():
    heard = []
    requests = [benchmark.question(number, 8) for number in range(7)]
    found = benchmark.speed(Brief(), requests, users=2, told=heard.append)
    assert (found.users, found.requests, found.tokens) == (2, 7, 35)
    assert found.seconds > 0
    assert all(0 <= done <= 7 for done in heard)
