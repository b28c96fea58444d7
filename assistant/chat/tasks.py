"""Tasks of the answers workers: ids come in, rows are the truth, running one twice is harmless."""

from __future__ import annotations

import logging
from uuid import UUID

import redis
from celery import shared_task
from django.db import transaction
from django.db.models import QuerySet

from assistant import leases, observability
from assistant.accounts.models import User

from . import answering, dispatch, limits, replay, services
from .closing import Result, close
from .models import Answer, AnswerStatus, Outcome
from .streaming import Publisher
from .watch import LEASE_SECONDS, watch

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
SWEEP_LIMIT = 200


@shared_task(name=dispatch.TASK)
def answer(answer_id: str) -> None:
    """Answer one question, unless it is finished, gone or in other hands."""
    work(UUID(answer_id))


@shared_task(name="assistant.chat.tasks.sweep")
def sweep() -> None:
    """Send again what nobody works on, end what failed too often or was stopped, erase what was deleted."""
    waiting = leases.overdue(_unfinished())
    for row in waiting.order_by("created_at")[:SWEEP_LIMIT]:
        if row.cancel_requested:
            _end(row, Outcome.CANCELLED, "stopped")
        elif row.attempt >= MAX_ATTEMPTS:
            _end(row, Outcome.FAILED, "worker_lost")
        else:
            _send_again(row)
    with observability.context(actor="system", origin="task:chat.sweep"):
        services.erase_deleted()
        limits.forget_days()


@shared_task(name="assistant.chat.tasks.retain", expires=3000)
def retain() -> None:
    """Erase conversations whose time is over by the installation's policy."""
    with observability.context(actor="system", origin="task:chat.retain"):
        count = services.erase_expired()
    if count:
        logger.info("%s conversations erased: their time was over", count)


@shared_task(name=dispatch.REPLAY)
def replay_answer(answer_id: str, user_id: int) -> None:
    """Answer once more from the record, for a reviewer who has asked."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return
    with observability.context(actor=f"user:{user.pk}", role=user.role, origin="task:chat.replay"):
        replay.recorded(actor=user, answer_id=answer_id)


def work(answer_id: UUID, *, tools: answering.Tools | None = None) -> None:
    """Claim the row and answer it here; leaves quietly when there is nothing to do or another worker took over.

    A person who has half of this worker's places waits for one of them; the next question goes out when it is free.
    """
    row = _unfinished().select_related("owner").filter(pk=answer_id).first()
    if row is None:
        return
    free = False
    try:
        with limits.seats.offered(row.owner_id) as free:
            if free:
                _work(row, tools)
    finally:
        if free:
            _send_next(row.owner_id)


def _send_next(owner: int) -> None:
    """The oldest question of the person that nobody works on, if there is one: it found no place, or met a fault, and
    most faults pass. One that failed twice is the sweeper's, which takes its time."""
    waiting = leases.overdue(_unfinished().filter(owner=owner, attempt__lt=2, cancel_requested=False))
    pk = waiting.order_by("created_at").values_list("pk", flat=True).first()
    if pk is not None:
        dispatch.send(pk)


def _work(row: Answer, tools: answering.Tools | None) -> None:
    if not leases.take(row, _unfinished(), seconds=LEASE_SECONDS, status=AnswerStatus.PROCESSING):
        return
    with _acting(row, "chat.answer"), watch.over(row) as ticket:
        try:
            answering.run(row, tools=tools or answering.tools(), ticket=ticket)
        except leases.LeaseLost:
            logger.info("answer %s: another worker took over", row.pk)
        finally:
            # After a fault nobody need wait for the lease; after success there is nothing left to match.
            Answer.objects.filter(pk=row.pk, fence=row.fence).exclude(status=AnswerStatus.DONE).update(lease_until=None)


def _acting(row: Answer, task: str):  # type: ignore[no-untyped-def]
    return observability.context(
        actor=f"user:{row.owner_id}",
        role=row.role,
        session=row.session,
        request_id=row.request_id,
        origin=f"task:{task}",
    )


def _end(row: Answer, outcome: Outcome, reason: str) -> None:
    """Finish an answer that no worker holds."""
    detail = {"attempts": row.attempt}
    if not leases.take(row, _unfinished(), seconds=LEASE_SECONDS):
        return
    with _acting(row, "chat.sweep"), transaction.atomic():
        close(leases.hold(row), Result(outcome, reason, detail=detail))
    Publisher(row.pk).done(outcome)


def _unfinished() -> QuerySet[Answer]:
    return Answer.objects.exclude(status=AnswerStatus.DONE)


def _send_again(row: Answer) -> None:
    try:
        if not dispatch.sent_lately(row.pk):
            dispatch.send(row.pk)
    except redis.RedisError as error:
        logger.warning("answer %s cannot be sent: %s", row.pk, error)
