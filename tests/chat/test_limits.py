"""Quotas are exact under parallel calls, and one person never has more than half of the places."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from assistant import errors
from assistant.chat import limits, services, tasks
from assistant.chat.models import Answer, AnswerStatus, DailyQuestions

from .live import server, worker  # noqa: F401  (fixtures)

pytestmark = pytest.mark.usefixtures("noon")

GERMANY = "What is the meal allowance in Germany?"


def parallel(number, call):
    barrier = threading.Barrier(number)

    def one(at):
        try:
            barrier.wait(60)
            return call(at)
        except errors.AssistantError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_the_days_quota_is_exact_under_a_hundred_parallel_questions(company, people, settings):
    settings.QUESTIONS_PER_DAY = 17
    settings.ANSWER_QUEUE_LIMIT = 1000
    results = parallel(100, lambda at: services.ask(actor=people.employee, question=f"{GERMANY} {at}"))
    refused = [result for result in results if isinstance(result, errors.TooMany)]
    # SQLite may be too busy for a hundred writers: "no record, no answer" is the other honest refusal
    assert all(isinstance(result, tuple | errors.TooMany | errors.AuditUnavailable) for result in results)
    assert sum(isinstance(result, tuple) for result in results) == 17
    assert {error.code for error in refused} == {"daily_quota"}
    assert all(0 < error.retry_after <= 86_400 for error in refused)
    assert Answer.objects.count() == DailyQuestions.objects.get().count == 17


def test_room_and_the_days_count_are_one_statement_each(company, people, settings, django_assert_num_queries):
    settings.QUESTIONS_PER_DAY = 3
    limits.count_question(people.employee)
    with django_assert_num_queries(1):
        limits.check_room(people.employee)
    with django_assert_num_queries(1):
        limits.count_question(people.employee)
    limits.count_question(people.employee)
    with pytest.raises(errors.TooMany):
        limits.count_question(people.employee)
    assert DailyQuestions.objects.get().count == 3


def test_deleting_the_conversation_gives_nothing_back(company, people, settings):
    settings.QUESTIONS_PER_DAY = 1
    answer, _ = services.ask(actor=people.employee, question=GERMANY)
    services.delete_conversation(actor=people.employee, conversation_id=answer.conversation_id)
    with pytest.raises(errors.TooMany):
        services.ask(actor=people.employee, question=GERMANY)


def test_the_same_key_again_is_not_counted_again(company, people, settings):
    settings.QUESTIONS_PER_DAY = 1
    first, _ = services.ask(actor=people.employee, question=GERMANY, idempotency_key="k")
    again, new = services.ask(actor=people.employee, question=GERMANY, idempotency_key="k")
    assert (again.pk, new) == (first.pk, False)


def test_counts_of_earlier_days_are_dropped(company, people):
    today = timezone.localdate()
    for days in (0, 1, 2, 30):
        DailyQuestions.objects.create(owner=people.employee, day=today - timedelta(days=days), count=5)
    assert limits.forget_days() == 2


def test_one_person_gets_half_of_the_places_at_most():
    seats = limits.Seats(4)
    with seats.offered(1) as first, seats.offered(1) as second, seats.offered(1) as third, seats.offered(2) as other:
        assert (first, second, third, other) == (True, True, False, True)
    with seats.offered(1) as again:
        assert again


def test_a_worker_with_one_place_serves_everybody():
    with limits.Seats(1).offered(7) as free:
        assert free


@pytest.mark.usefixtures("worker")
def test_questions_beyond_half_of_the_places_wait_and_are_all_answered(company, people, settings, monkeypatch):
    """Through a real worker with threads: never two of one person at once when there are two places."""
    monkeypatch.setattr(limits, "seats", limits.Seats(2))
    at_once, most, lock = 0, 0, threading.Lock()
    real = tasks._work

    def watched(answer_id, tools):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.1)
        try:
            real(answer_id, tools)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(tasks, "_work", watched)
    for number in range(6):
        services.ask(actor=people.employee, question=f"{GERMANY} {number}")
    deadline = time.monotonic() + 60
    while Answer.objects.exclude(status=AnswerStatus.DONE).exists():
        assert time.monotonic() < deadline, list(Answer.objects.values("status", "attempt"))
        time.sleep(0.1)
    assert most == 1
