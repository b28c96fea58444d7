"""Lost messages, dying workers, repeated tasks: rows are the truth."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, reset_queries
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from assistant.audit.models import AuditEvent
from assistant.chat import answering, dispatch, services, tasks
from assistant.chat.models import Answer, AnswerStatus, Outcome
from assistant.transport import redis_client

from .live import worker  # noqa: F401  (a fixture)

GERMANY = "What is the meal allowance in Germany?"


def queued(people) -> Answer:
    return services.ask(actor=people.employee, question=GERMANY)[0]


def expired(answer: Answer, **fields) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Answer.objects.filter(pk=answer.pk).update(status=AnswerStatus.PROCESSING, lease_until=past, **fields)


def messages() -> int:
    return redis_client().llen("answers")


def test_task_twice_answers_once(company, people):
    answer = queued(people)
    tasks.answer(str(answer.pk))
    tasks.answer(str(answer.pk))
    answer.refresh_from_db()
    assert (answer.outcome, answer.attempt) == (Outcome.ANSWERED, 1)
    assert AuditEvent.objects.filter(target_id=str(answer.pk)).count() == 2


def test_a_worker_reads_twice_and_writes_once_before_it_searches(company, people):
    """The row with its owner, its claim, and the turns before it: whatever is only for the record comes later."""
    before = []

    class Searcher:
        def search(self, **_):
            before.append([query["sql"].split()[0] for query in connection.queries])
            raise ZeroDivisionError

    answer = queued(people)
    tools = replace(answering.tools(), searcher=Searcher())
    reset_queries()
    with CaptureQueriesContext(connection), pytest.raises(ZeroDivisionError):
        tasks.work(answer.pk, tools=tools)
    assert before == [["SELECT", "UPDATE", "SELECT"]]


def test_task_of_an_answer_that_is_gone_ends_quietly(transactional_db):
    tasks.answer("00000000-0000-0000-0000-000000000000")


def test_message_goes_out_on_commit_with_the_id_alone(company, people):
    answer = queued(people)
    (raw,) = redis_client().lrange("answers", 0, -1)
    assert str(answer.pk) in raw
    assert "allowance" not in raw


def test_lost_message_is_sent_again_after_a_while(company, people):
    queued(people)
    redis_client().delete("answers")
    tasks.sweep()
    assert messages() == 0  # sent a moment ago: give it time
    redis_client().flushall()  # Redis forgot everything
    tasks.sweep()
    assert messages() == 1


def test_redis_away_while_asking_loses_no_question(company, people, monkeypatch):
    def away(*_, **__):
        raise dispatch.OperationalError("no redis")

    monkeypatch.setattr(dispatch.current_app, "send_task", away)
    answer = queued(people)
    monkeypatch.undo()
    assert Answer.objects.get(pk=answer.pk).status == AnswerStatus.QUEUED
    tasks.sweep()
    assert messages() == 1


def test_answer_of_a_dead_worker_is_taken_over(company, people):
    answer = queued(people)
    redis_client().flushall()
    expired(answer, attempt=1, fence=1)
    tasks.sweep()
    assert messages() == 1
    tasks.work(answer.pk)
    answer.refresh_from_db()
    assert (answer.outcome, answer.attempt, answer.fence) == (Outcome.ANSWERED, 2, 2)


def test_answer_under_a_lease_is_left_alone(company, people):
    answer = queued(people)
    redis_client().flushall()
    Answer.objects.filter(pk=answer.pk).update(lease_until=timezone.now() + timedelta(seconds=60), fence=1)
    tasks.sweep()
    tasks.work(answer.pk)
    assert messages() == 0
    assert Answer.objects.get(pk=answer.pk).status == AnswerStatus.QUEUED


def test_after_three_attempts_the_answer_has_failed_and_the_record_says_so(company, people):
    answer = queued(people)
    expired(answer, attempt=tasks.MAX_ATTEMPTS, fence=3)
    tasks.sweep()
    answer.refresh_from_db()
    assert (answer.outcome, answer.reason) == (Outcome.FAILED, "worker_lost")
    event = AuditEvent.objects.get(target_id=str(answer.pk), action="answer.failed")
    assert event.actor == f"user:{people.employee.pk}"


def test_cancel_of_a_dead_workers_answer_is_finished_by_the_sweeper(company, people):
    answer = queued(people)
    expired(answer, attempt=1, fence=1, cancel_requested=True)
    tasks.sweep()
    answer.refresh_from_db()
    assert answer.outcome == Outcome.CANCELLED


def test_fault_gives_the_lease_back_at_once(company, people, monkeypatch):
    def fault(*_, **__):
        raise ZeroDivisionError

    answer = queued(people)
    monkeypatch.setattr(tasks.answering, "run", fault)
    with pytest.raises(ZeroDivisionError):
        tasks.work(answer.pk)
    answer.refresh_from_db()
    assert (answer.status, answer.lease_until) == (AnswerStatus.PROCESSING, None)


def test_a_fault_is_tried_again_at_once_and_after_that_by_the_sweeper(company, people, monkeypatch):
    def fault(*_, **__):
        raise ZeroDivisionError

    answer = queued(people)
    redis_client().delete("answers")
    monkeypatch.setattr(tasks.answering, "run", fault)
    for expected in (1, 1):
        with pytest.raises(ZeroDivisionError):
            tasks.work(answer.pk)
        assert messages() == expected


def test_what_met_a_fault_and_then_found_no_place_is_sent_when_one_is_free(company, people):
    answer = queued(people)
    Answer.objects.filter(pk=answer.pk).update(status=AnswerStatus.PROCESSING, attempt=1)
    other = queued(people)
    redis_client().delete("answers")
    tasks.work(other.pk)
    (raw,) = redis_client().lrange("answers", 0, -1)
    assert str(answer.pk) in raw


def test_running_worker_answers_what_is_asked(company, people, worker):  # noqa: F811
    answer = queued(people)
    assert services.wait(actor=people.employee, answer_id=answer.pk, seconds=60).outcome == Outcome.ANSWERED


_VICTIM = """
    import django
    django.setup()
    from django.conf import settings
    settings.DATABASES["default"]["NAME"] = {database!r}
    from uuid import UUID
    from assistant.chat import answering, tasks
    answering.run = lambda *_, **__: (print("working", flush=True), __import__("time").sleep(600))
    tasks.work(UUID({answer!r}))
"""


def test_killed_worker_process_loses_nothing(company, people):
    """A process that holds the lease is killed with SIGKILL; another finishes the answer when the lease is over."""
    answer = queued(people)
    script = textwrap.dedent(_VICTIM).format(database=str(settings.DATABASES["default"]["NAME"]), answer=str(answer.pk))
    victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR)
    try:
        assert victim.stdout.readline().strip() == "working"
        tasks.work(answer.pk)  # nothing to take: the lease is held
        assert Answer.objects.get(pk=answer.pk).status == AnswerStatus.PROCESSING
    finally:
        os.kill(victim.pid, signal.SIGKILL)
        victim.communicate()
    Answer.objects.filter(pk=answer.pk).update(lease_until=timezone.now())
    time.sleep(0.01)
    tasks.work(answer.pk)
    answer.refresh_from_db()
    assert (answer.outcome, answer.attempt) == (Outcome.ANSWERED, 2)
