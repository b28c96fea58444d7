"""A rate is exact when a hundred threads, or several processes, call at the same instant."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from assistant import rates
from assistant.rates import Rate


def at_once(number, call):
    barrier = threading.Barrier(number)

    def one(_):
        barrier.wait(60)
        return call()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_exactly_as_many_as_allowed_pass_a_hundred_threads():
    waits = at_once(100, lambda: rates.count([("one", Rate(37, 60))]))
    assert waits.count(0.0) == 37
    assert all(0 < wait <= 60 for wait in waits if wait)


def test_several_processes_share_one_count():
    call = "import django; django.setup(); from assistant import rates; r = rates.Rate(25, 60)\n" + (
        "print(sum(rates.count([('many', r)]) == 0 for _ in range(20)))"
    )
    running = [subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(process.communicate(timeout=120)[0]) for process in running) == 25


def test_a_call_is_counted_against_all_limits_or_none():
    person, token = ("person", Rate(10, 60)), ("token", Rate(2, 60))
    assert [rates.count([person, token]) == 0 for _ in range(5)] == [True, True, False, False, False]
    assert sum(rates.count([person]) == 0 for _ in range(20)) == 8


def test_the_wait_is_over_when_it_says():
    import time

    assert rates.count([("short", Rate(1, 1))]) == 0
    while not (wait := rates.count([("short", Rate(1, 1))])):
        pass  # the machine was slow and the second was over: that call was counted
    time.sleep(wait + 0.01)
    assert rates.count([("short", Rate(1, 1))]) == 0


@pytest.mark.parametrize(
    ("text", "rate"), [("600/min", Rate(600, 60)), (" 5/S ", Rate(5, 1)), ("9/day", Rate(9, 86_400)), ("", None)]
)
def test_rates_are_written_as_people_write_them(text, rate):
    assert rates.parse(text) == rate


@pytest.mark.parametrize("text", ["0/min", "ten/min", "5", "5/fortnight", "-1/s", "5/min/s"])
def test_other_forms_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match="600/min"):
        rates.parse(text)
