"""Asking for a replay of an answer, and how it stands. Knows: events, the queue. Does not know: how an answer is
replayed (`replay`, which loads models: workers only).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import redis
from celery import current_app
from django.core.exceptions import ValidationError
from kombu.exceptions import OperationalError

from assistant import errors
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent

from .dispatch import REPLAY

ENDS = ("answer.shown", "answer.cancelled", "answer.failed", "answer.refused")


def ask(*, actor: User, answer_id: UUID | str) -> None:
    """Let a worker replay an answer for a reviewer.

    Raises NotFound, PermissionRefused, Unavailable, AuditUnavailable.
    """
    require(actor, Duty.REVIEW_AUDIT)
    event = closing_event(answer_id)
    audit.intent(action="answer.replayed", target=("answer", event.target_id), detail={"event": event.seq})
    try:
        current_app.send_task(REPLAY, args=[event.target_id, actor.pk], queue="answers", retry=False)
    except (OperationalError, redis.RedisError, OSError) as error:
        raise errors.Unavailable("Nothing can be replayed for the moment.", retry_after=10) from error


@dataclass(frozen=True, slots=True)
class Standing:
    """How the replay of an answer stands: `state` is none, waiting or done; `event` is the newest one about it (the
    intent while a worker is at it, then the verdict), `answered` the one that closed the answer."""

    answer: str
    answered: AuditEvent
    state: str
    event: AuditEvent | None


def standing(*, actor: User, answer_id: UUID | str) -> Standing:
    """For a reviewer; seeing a verdict is recorded, waiting for one is not.

    Raises NotFound, PermissionRefused, AuditUnavailable.
    """
    require(actor, Duty.REVIEW_AUDIT)
    answered = closing_event(answer_id)
    found = AuditEvent.objects.filter(action="answer.replayed", target_type="answer", target_id=answered.target_id)
    event = found.order_by("-seq").first()
    if event is not None and event.outcome == "intent":
        return Standing(answered.target_id, answered, "waiting", event)
    audit.record(action="audit.viewed", target=("answer", answered.target_id), detail={"replay": True})
    return Standing(answered.target_id, answered, "done" if event else "none", event)


def closing_event(answer_id: UUID | str) -> AuditEvent:
    """The event that closed the answer. Raises NotFound."""
    try:
        name = str(UUID(str(answer_id)))
    except (ValueError, ValidationError):
        raise errors.NotFound from None
    found = AuditEvent.objects.filter(action__in=ENDS, target_type="answer", target_id=name)
    event = found.exclude(outcome="intent").filter(detail__outcome__isnull=False).order_by("-seq").first()
    if event is None:
        raise errors.NotFound
    return event
