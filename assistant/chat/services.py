"""What people do with questions: ask, stop, judge, keep, rename, delete.

Every function takes the acting person; an answer or a conversation that is not theirs does not exist for them. Knows
rows and the record; does not know how an answer is found (`answering`, in a worker) nor how it is shown
(`presentation`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import redis
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from assistant import errors, observability
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import denials
from assistant.audit import services as audit
from assistant.documents import holds, policy
from assistant.guardrails import sanitize
from assistant.transport import redis_client
from assistant.vault import ring

from . import dispatch, held, limits, presentation, streaming
from .closing import Result, close
from .models import Answer, AnswerStatus, Citation, Conversation, Feedback, Outcome
from .presentation import AnswerView

__all__ = [
    "AnswerView",
    "ask",
    "cancel",
    "conversations",
    "delete_conversation",
    "get_answer",
    "get_conversation",
    "give_feedback",
    "present",
    "present_all",
    "rename",
    "restore_conversation",
    "wait",
    "withhold",
]

UNDO_SECONDS = 30
VIEWED_AGAIN_AFTER = timedelta(minutes=10)  # reading a finished answer sooner is still its delivery
CONTEXT_TURNS = 6
CONTEXT_CHARS = 4000


def ask(
    *,
    actor: User,
    question: str,
    conversation_id: UUID | str | None = None,
    collections: Sequence[str] = (),
    context: Sequence[tuple[str, str]] = (),
    idempotency_key: str = "",
) -> tuple[Answer, bool]:
    """Record the question and queue its answer: (answer, whether it is new).

    `context` are earlier turns, (role, text) with role "user" or "assistant", for callers that keep the conversation
    themselves; the newest CONTEXT_TURNS count.

    The same `idempotency_key` with the same request gives the same answer; with another request Conflict. Raises
    Invalid, NotFound (conversation or collection), TooMany (queue full, the person holds half of it, or the day's quota
    is spent), and AuditUnavailable when the question cannot be put on record: then nothing is stored or answered.
    """
    require(actor, Duty.ASK)
    text = sanitize.question(question, limit=settings.MAX_QUESTION_CHARS)
    slugs = sorted(set(collections))
    key = _checked_key(idempotency_key)
    turns = [(role, sanitize.passage(said).text[:CONTEXT_CHARS]) for role, said in context[-CONTEXT_TURNS:]]
    fingerprint = _digest([text.text, str(conversation_id or ""), slugs, turns])
    if earlier := _earlier(actor, key, fingerprint):
        return earlier, False
    conversation = get_conversation(actor=actor, conversation_id=conversation_id) if conversation_id else None
    _check_collections(actor, slugs)
    limits.check_room(actor)
    facts = observability.current()
    answer = Answer(
        id=uuid4(),
        question=text.text,
        context=turns,
        collections=slugs,
        idempotency_key=key,
        fingerprint=fingerprint,
        owner=actor,
        role=actor.role,
        session=facts.session,
        request_id=facts.request_id,
    )
    answer.intent_seq = audit.intent(
        action="answer.asked",
        target=("answer", str(answer.pk)),
        detail={"collections": slugs, "characters": len(text.text), "flags": sorted(text.flags)},
        content={"question": text.text},
    ).seq
    try:
        with transaction.atomic():
            limits.serialise()
            if earlier := _earlier(actor, key, fingerprint):
                return _duplicate(answer, earlier), False
            limits.check_room(actor)
            limits.count_question(actor)
            if conversation is None:
                title, asked = _title(text.text), answer.created_at
                conversation = Conversation.objects.create(owner=actor, title=title, updated_at=asked)
            else:
                Conversation.objects.filter(pk=conversation.pk).update(updated_at=answer.created_at)
            answer.conversation = conversation
            answer.save(force_insert=True)
            transaction.on_commit(lambda: dispatch.send(answer.pk))
    except IntegrityError:  # the same key, committed by a parallel call
        if earlier := _earlier(actor, key, fingerprint):
            return _duplicate(answer, earlier), False
        raise
    except errors.AssistantError as error:
        _refused(answer, error.code)
        raise
    return answer, True


def present(*, actor: User, answer: Answer) -> AnswerView:
    """The answer as its owner may see it now: the only way its text leaves."""
    return present_all(actor=actor, answers=[answer])[0]


def present_all(*, actor: User, answers: Iterable[Answer]) -> list[AnswerView]:
    """`present` for many answers. A text that is shown again later goes on record, and one that stays back because its
    reader has lost a right since. Raises AuditUnavailable."""
    views = presentation.present_all(actor=actor, answers=answers)
    for view in views:
        if view.withheld and view.reason == "access_changed":
            denials.note(denials.Denial(view.reason, 200, "answer", str(view.id)))
    since = timezone.now() - VIEWED_AGAIN_AFTER
    again = [view for view in views if view.text and view.finished_at and view.finished_at < since]
    if again:
        audit.record(
            action="answer.viewed",
            target=("conversation", str(again[0].conversation)),
            detail={"answers": [str(view.id) for view in again]},
        )
    return views


def wait(*, actor: User, answer_id: UUID, seconds: float) -> Answer:
    """The answer when it is finished, or as it stands after `seconds`."""
    until = time.monotonic() + seconds
    position = "0-0"
    while True:
        answer = get_answer(actor=actor, answer_id=answer_id)
        left = until - time.monotonic()
        if answer.status == AnswerStatus.DONE or left <= 0:
            return answer
        position = _sleep_until_news(answer_id, position, min(left, 1.0))


def get_answer(*, actor: User, answer_id: UUID | str) -> Answer:
    """The actor's own answer. Raises NotFound."""
    rows = Answer.objects.select_related("feedback").filter(owner=actor, conversation__deleted_at=None)
    return _own(rows, answer_id)


def cancel(*, actor: User, answer_id: UUID | str) -> Answer:
    """Stop the answer. A waiting one ends here; a running one within a fraction of a second; a finished one stays."""
    answer = get_answer(actor=actor, answer_id=answer_id)
    with transaction.atomic():
        row = Answer.objects.select_for_update().get(pk=answer.pk)
        if row.status != AnswerStatus.DONE:
            row.cancel_requested = True
            row.save(update_fields=["cancel_requested"])
            if row.lease_until is None or row.lease_until < timezone.now():
                row.fence += 1  # a worker that wakes up late writes nothing
                close(row, Result(Outcome.CANCELLED, "stopped"))
                transaction.on_commit(lambda: streaming.Publisher(row.pk).done(row.outcome))
    return get_answer(actor=actor, answer_id=answer_id)


def give_feedback(*, actor: User, answer_id: UUID | str, good: bool, reason: str = "") -> Feedback:
    """Judge a finished answer; a second judgement replaces the first. Raises Conflict while it is being written."""
    answer = get_answer(actor=actor, answer_id=answer_id)
    if answer.status != AnswerStatus.DONE:
        raise errors.Conflict("The answer is not finished yet.")
    with transaction.atomic():
        feedback, _ = Feedback.objects.update_or_create(
            answer=answer, defaults={"good": good, "reason": sanitize.title(reason, limit=500)}
        )
        audit.record(action="answer.feedback", target=("answer", str(answer.pk)), detail={"good": good})
    return feedback


def conversations(actor: User) -> QuerySet[Conversation]:
    """The person's own conversations, the latest first."""
    return Conversation.objects.filter(owner=actor, deleted_at=None)


def get_conversation(*, actor: User, conversation_id: UUID | str) -> Conversation:
    """The actor's own conversation. Raises NotFound."""
    return _own(conversations(actor), conversation_id)


def rename(*, actor: User, conversation_id: UUID | str, title: str) -> Conversation:
    """Give the conversation another title (one line, at most 200 characters)."""
    conversation = get_conversation(actor=actor, conversation_id=conversation_id)
    cleaned = sanitize.title(title, limit=200)
    if not cleaned:
        raise errors.Invalid("Type a title.", fields={"title": ["Type a title."]})
    with transaction.atomic():
        conversation.title = cleaned
        conversation.save(update_fields=["title"])
        audit.record(action="conversation.changed", target=("conversation", str(conversation.pk)))
    return conversation


def delete_conversation(*, actor: User, conversation_id: UUID | str) -> None:
    """Hide the conversation, stop what runs in it; the sweeper erases it after UNDO_SECONDS, or when no hold on what it
    quotes keeps it any longer. Raises Conflict when its owner is under legal hold."""
    conversation = get_conversation(actor=actor, conversation_id=conversation_id)
    holds.check_person(actor.pk)
    with transaction.atomic():
        conversation.deleted_at = timezone.now()
        conversation.save(update_fields=["deleted_at"])
        conversation.answers.exclude(status=AnswerStatus.DONE).update(cancel_requested=True)
        audit.record(
            action="conversation.deleted",
            target=("conversation", str(conversation.pk)),
            detail={"undo_seconds": UNDO_SECONDS},
        )
        held.tell(Conversation.objects.filter(pk=conversation.pk), asked="deletion")


def restore_conversation(*, actor: User, conversation_id: UUID | str) -> Conversation:
    """Undo a deletion within UNDO_SECONDS. Raises NotFound once it is erased or the time is over."""
    since = timezone.now() - timedelta(seconds=UNDO_SECONDS)
    with transaction.atomic():
        rows = Conversation.objects.select_for_update().filter(owner=actor, deleted_at__gt=since)
        conversation = _own(rows, conversation_id)
        conversation.deleted_at = None
        conversation.save(update_fields=["deleted_at"])
        audit.record(action="conversation.restored", target=("conversation", str(conversation.pk)))
    return conversation


def erase_expired() -> int:
    """Erase the conversations that nobody continued for CONVERSATION_RETENTION_DAYS; how many. For the beat."""
    if not settings.CONVERSATION_RETENTION_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.CONVERSATION_RETENTION_DAYS)
    unfinished = Answer.objects.exclude(status=AnswerStatus.DONE).values("conversation")
    return erase(Conversation.objects.filter(updated_at__lt=before).exclude(pk__in=unfinished), reason="retention")


def erase_deleted() -> int:
    """Erase the conversations whose time to undo is over; how many. For the sweeper."""
    before = timezone.now() - timedelta(seconds=UNDO_SECONDS)
    return erase(Conversation.objects.filter(deleted_at__lte=before))


def erase(rows: QuerySet[Conversation], *, reason: str = "deleted") -> int:
    """Erase conversations with their answers, for good; how many. Their audit events stay. What is under legal hold is
    left out."""
    erased = 0
    for pk in rows.exclude(held.kept()).values_list("pk", flat=True):
        with transaction.atomic():
            row = rows.select_for_update().filter(pk=pk).exclude(held.kept()).first()
            if row is None:  # restored, or held, meanwhile
                continue
            answers = list(row.answers.values_list("pk", flat=True))
            row.delete()
            keys = ring.destroy("conversation", [pk])
            audit.record(
                action="conversation.erased",
                target=("conversation", str(pk)),
                detail={"answers": [str(answer) for answer in answers], "keys": keys, "reason": reason},
            )
        streaming.forget(answers)
        erased += 1
    return erased


def withhold(document_ids: Sequence[UUID]) -> dict[str, int]:
    """The documents are being deleted: erase every answer that rests on one of them, in the caller's transaction."""
    links = Answer.rests_on.through._default_manager.filter(document__in=document_ids)
    answers = list(Answer.objects.filter(pk__in=links.values("answer")).values_list("pk", flat=True))
    kept = Q(owner__in=holds.held_people()) | Q(rests_on__in=holds.held_documents())
    if Answer.objects.filter(kept, pk__in=answers).exists():
        raise errors.Conflict(
            "Somebody's conversation that is under legal hold quotes this. Nothing was changed.", code="legal_hold"
        )
    Citation.objects.filter(answer__in=answers).delete()
    gone = {"text": "", "text_salt": b"", "thinking": "", "sentences": [], "standalone_question": "", "context": []}
    Answer.objects.filter(pk__in=answers).update(withheld_at=timezone.now(), evidence={}, **gone)
    transaction.on_commit(lambda: streaming.forget(answers))
    if answers:
        audit.record(
            action="answer.withheld",
            detail={
                "answers": [str(answer) for answer in answers],
                "documents": [str(document) for document in document_ids],
            },
        )
    return {"answers_withheld": len(answers)}


Row = TypeVar("Row", Answer, Conversation)


def _own(rows: QuerySet[Row], pk: UUID | str) -> Row:
    try:
        row = rows.filter(pk=pk).first()
    except (ValidationError, ValueError):  # a malformed id names nothing
        row = None
    if row is None:
        raise errors.NotFound
    return row


def _title(question: str) -> str:
    return sanitize.title(question, limit=80)


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _checked_key(key: str) -> str:
    if len(key) > 100 or not key.isprintable():
        raise errors.Invalid("An Idempotency-Key has at most 100 printable characters.", code="idempotency_key")
    return key


def _earlier(actor: User, key: str, fingerprint: str) -> Answer | None:
    """The answer this key stands for. Raises Conflict when it stands for another request."""
    if not key:
        return None
    answer = Answer.objects.filter(owner=actor, idempotency_key=key).first()
    if answer is not None and answer.fingerprint != fingerprint:
        raise errors.Conflict("This Idempotency-Key was used for another request.", code="idempotency_key_reused")
    return answer


def _check_collections(actor: User, slugs: Sequence[str]) -> None:
    """Raises NotFound unless every slug names a collection in which the person can read something."""
    if policy.readable_collections(actor).filter(slug__in=slugs).count() != len(slugs):
        raise errors.NotFound


def _duplicate(answer: Answer, earlier: Answer) -> Answer:
    _refused(answer, "duplicate")
    return earlier


def _refused(answer: Answer, reason: str) -> None:
    """The intent on record came to nothing: say so."""
    audit.record(
        action="answer.refused",
        outcome="refused",
        target=("answer", str(answer.pk)),
        detail={"intent": answer.intent_seq, "reason": reason},
    )


def _sleep_until_news(answer_id: UUID, position: str, seconds: float) -> str:
    """Sleep until the live stream says more, at most `seconds`; the last position read."""
    try:
        found = redis_client().xread(
            {streaming.stream_key(answer_id): position}, count=1000, block=max(1, int(seconds * 1000))
        )
    except redis.RedisError:
        time.sleep(min(seconds, 0.2))
        return position
    entries = streaming.entries_of(found)
    return entries[-1][0] if entries else position
