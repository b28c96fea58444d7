"""A lease and a fence: who may take a job, who may write, and what a moved clock does to them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from assistant import leases
from assistant.chat import tasks, watch
from assistant.chat.models import Answer, AnswerStatus, Conversation
from assistant.documents import pulse

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(people):
    conversation = Conversation.objects.create(owner=people.employee, title="t")
    return Answer.objects.create(owner=people.employee, conversation=conversation, question="q", role="employee")


@pytest.fixture
def clock(monkeypatch):
    """`clock(seconds)` moves what the workers take for now."""
    real = timezone.now
    moved = timedelta()

    def now() -> datetime:
        return real() + moved

    def move(seconds: float) -> None:
        nonlocal moved
        moved += timedelta(seconds=seconds)

    monkeypatch.setattr(leases.timezone, "now", now)
    return move


def claim(job):
    return leases.claim(Answer.objects.all(), job.pk, seconds=watch.LEASE_SECONDS)


def may_write(row) -> bool:
    try:
        with transaction.atomic():
            leases.hold(row)
    except leases.LeaseLost:
        return False
    return True


def test_a_leased_job_is_taken_once(job):
    assert claim(job) is not None
    assert claim(job) is None


def test_what_changes_with_the_claim_changes_for_the_one_who_got_it_only(job):
    row = leases.claim(Answer.objects.all(), job.pk, seconds=watch.LEASE_SECONDS, status=AnswerStatus.PROCESSING)
    assert (row.status, row.attempt, row.fence) == (AnswerStatus.PROCESSING, 1, 1)
    assert leases.claim(Answer.objects.all(), job.pk, seconds=watch.LEASE_SECONDS, status=AnswerStatus.DONE) is None
    job.refresh_from_db()
    assert job.status == AnswerStatus.PROCESSING


def take(job, **changes):
    return leases.take(job, Answer.objects.exclude(status=AnswerStatus.DONE), seconds=watch.LEASE_SECONDS, **changes)


def test_of_two_who_read_a_job_one_takes_it(job):
    ours, theirs = (Answer.objects.get(pk=job.pk) for _ in range(2))
    assert take(ours, status=AnswerStatus.PROCESSING)
    assert not take(theirs)
    assert (ours.status, ours.attempt, ours.fence) == (AnswerStatus.PROCESSING, 1, 1)
    assert (theirs.status, theirs.attempt, theirs.fence) == (AnswerStatus.QUEUED, 0, 0)
    assert (may_write(ours), may_write(theirs)) == (True, False)
    there = Answer.objects.get(pk=job.pk)
    assert [getattr(there, name) for name in ("status", "attempt", "fence", "lease_until")] == [
        getattr(ours, name) for name in ("status", "attempt", "fence", "lease_until")
    ]


def test_a_job_that_was_finished_or_changed_hands_since_it_was_read_is_not_taken(job, clock):
    seen = Answer.objects.get(pk=job.pk)
    assert claim(job) is not None
    clock(watch.LEASE_SECONDS + 1)  # the other's lease is over, but it may have done something
    assert not take(seen)
    again = Answer.objects.get(pk=job.pk)
    Answer.objects.filter(pk=job.pk).update(status=AnswerStatus.DONE, outcome="cancelled")
    assert not take(again)


def test_a_task_longer_than_its_lease_keeps_it_by_renewing(job, clock):
    first = claim(job)
    for _ in range(10):
        clock(watch.LEASE_SECONDS * 0.9)
        leases.renew(first, seconds=watch.LEASE_SECONDS)
        assert claim(job) is None
    assert may_write(first)


def test_a_task_that_lost_its_lease_writes_nothing(job, clock):
    first = claim(job)
    clock(watch.LEASE_SECONDS + 1)
    second = claim(job)
    assert (may_write(first), may_write(second)) == (False, True)
    with pytest.raises(leases.LeaseLost):
        leases.renew(first, seconds=watch.LEASE_SECONDS)


def test_a_clock_put_forward_lets_one_other_worker_in_and_only_it_may_write(job, clock):
    first = claim(job)
    clock(86_400)
    second = claim(job)
    assert second is not None
    assert claim(job) is None
    assert (may_write(first), may_write(second)) == (False, True)


def test_a_clock_put_back_does_not_leave_a_dead_workers_job_lying(job, clock):
    claim(job)
    clock(-86_400)
    assert list(leases.overdue(Answer.objects.all())) == [job]
    assert claim(job) is not None
    assert claim(job) is None


def test_a_small_step_back_takes_nothing_from_a_living_worker(job, clock):
    first = claim(job)
    clock(-30)
    assert claim(job) is None
    assert may_write(first)


def test_no_lease_is_longer_than_the_longest():
    assert timedelta(seconds=max(watch.LEASE_SECONDS, pulse.LEASE_SECONDS)) < leases.LONGEST
    assert tasks.LEASE_SECONDS == watch.LEASE_SECONDS
