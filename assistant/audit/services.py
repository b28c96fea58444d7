"""Writing to the audit log, and erasing audited texts.

Knows: the lock, the chain, whose request it is (`observability.current()`). Does not know: people or documents; who may
read the log is decided where people are known (`accounts.review`).

`intent` commits alone, before anything is retrieved, exported or deleted; `record` joins the transaction of the change
as its last statement. When neither is possible nothing happens: AuditUnavailable, 503.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from assistant import observability
from assistant.errors import AuditUnavailable

from . import catalogue, chain, keys, outside
from .models import AuditCheckpoint, AuditContent, AuditEvent, AuditSegment
from .patience import patience
from .verification import CLOCK_MOVED, Checkpoint

PATIENCE_MS = 2000  # an intent answers within 2.5 s, whatever the database does
CHECKPOINT_EVERY = 1000  # events; and once a minute, see tasks
SEGMENT_EVENTS = 10_000
_LOCK = 0x61756469
_SMALL_SKEW = timedelta(seconds=2)  # hosts' clocks differ a little; the log's time never runs backwards for that


def directory() -> Path:
    """Where the head and the checkpoints lie, outside the database."""
    return Path(settings.DATA_DIR) / "audit"


def current_keys() -> keys.Keys:
    return keys.derive(settings.AUDIT_KEY)


def intent(
    *,
    action: str,
    target: tuple[str, str] | None = None,
    detail: dict[str, Any] | None = None,
    content: dict[str, str] | None = None,
) -> AuditEvent:
    """What is about to happen, committed before it does. Raises AuditUnavailable within 2.5 seconds.

    Never inside a transaction: the event would vanish with it (RuntimeError; a test case's own transaction is let
    through by Django, see `transaction.atomic(durable=True)`).
    """
    try:
        with patience(milliseconds=PATIENCE_MS), transaction.atomic(durable=True):
            event = _append(action=action, outcome="intent", target=target, detail=detail, content=content)
            transaction.on_commit(partial(_after_commit, event))
        return event
    except (DatabaseError, OSError) as error:
        raise AuditUnavailable(retry_after=5) from error


def record(
    *,
    action: str,
    outcome: str = "success",
    target: tuple[str, str] | None = None,
    detail: dict[str, Any] | None = None,
    content: dict[str, str] | None = None,
) -> AuditEvent:
    """What has happened; the last statement of the change's transaction. Raises AuditUnavailable.

    `detail` holds ids, counts and digests; texts go to `content`, which is encrypted, apart and erasable.
    """
    try:
        with patience(milliseconds=PATIENCE_MS), transaction.atomic():
            event = _append(action=action, outcome=outcome, target=target, detail=detail, content=content)
            # The change will be committed by then: a head that cannot be written is logged, and the next one tells.
            transaction.on_commit(partial(_after_commit, event), robust=True)
        return event
    except DatabaseError as error:
        raise AuditUnavailable(retry_after=5) from error


def _append(
    *,
    action: str,
    outcome: str,
    target: tuple[str, str] | None,
    detail: dict[str, Any] | None,
    content: dict[str, str] | None,
) -> AuditEvent:
    if action not in catalogue.ACTIONS:
        raise ValueError(f"“{action}” is not in the audit catalogue")
    if outcome not in catalogue.OUTCOMES:
        raise ValueError(f"“{outcome}” is no outcome")
    facts = observability.current()
    fields: dict[str, Any] = chain.normalise(detail or {})
    texts: dict[str, str] = chain.normalise(content or {})
    derived = current_keys()
    salt = keys.new_salt() if texts else b""
    lock()
    last = AuditEvent.objects.order_by("-seq").values_list("seq", "digest", "at").first()
    seq, previous = (last[0] + 1, last[1]) if last else (1, chain.GENESIS)
    at = timezone.now()
    if last and at < last[2]:
        if last[2] - at > _SMALL_SKEW:
            fields[CLOCK_MOVED] = int((last[2] - at).total_seconds() * 1000)
        else:
            at = last[2]
    event = AuditEvent(
        seq=seq,
        schema=catalogue.VERSION,
        at=at,
        request_id=_short(facts.request_id, 64),
        actor=_short(facts.actor, 64),
        role=_short(facts.role, 20),
        session=_short(facts.session, 64),
        origin=_short(facts.origin, 128),
        action=action,
        target_type=_short(target[0], 32) if target else "",
        target_id=_short(target[1], 64) if target else "",
        outcome=outcome,
        detail=fields,
        commitment=keys.commit(texts, salt) if texts else "",
        previous=previous,
    )
    event.digest = chain.digest(to_record(event))
    event.mac = chain.mac(derived.mac, event.digest)
    event.save(force_insert=True)
    if texts:
        AuditContent.objects.create(event=event, salt=salt, ciphertext=keys.encrypt(derived, seq=seq, content=texts))
    return event


def _after_commit(event: AuditEvent) -> None:
    outside.advance_head(directory(), seq=event.seq, at=chain.timestamp(event.at), digest=event.digest)
    if event.seq % CHECKPOINT_EVERY == 0:
        checkpoint()


def lock() -> None:
    """One writer at a time, until the transaction ends. SQLite has it already (BEGIN IMMEDIATE)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _short(text: str, limit: int) -> str:
    clean: str = chain.normalise(str(text))
    return clean[:limit]


def to_record(event: AuditEvent) -> chain.Record:
    """The event as it is hashed and exported."""
    return {
        "schema": event.schema,
        "seq": event.seq,
        "at": chain.timestamp(event.at),
        "request_id": event.request_id,
        "actor": event.actor,
        "role": event.role,
        "session": event.session,
        "origin": event.origin,
        "action": event.action,
        "target_type": event.target_type,
        "target_id": event.target_id,
        "outcome": event.outcome,
        "detail": event.detail,
        "commitment": event.commitment,
        "previous": event.previous,
    }


def erase_contents(sequences: Iterable[int]) -> int:
    """Erase the texts of these events for good; the chain keeps their salted commitments. Recorded; the count."""
    with transaction.atomic():
        rows = AuditContent.objects.filter(pk__in=list(sequences), erased_at__isnull=True)
        erased = list(rows.order_by("pk").values_list("pk", flat=True))
        if erased:
            rows.update(ciphertext=None, salt=b"", erased_at=timezone.now())
            record(action="audit.content_erased", detail={"count": len(erased), "events": erased[:1000]})
    return len(erased)


def checkpoint() -> AuditCheckpoint | None:
    """Sign where the chain ends, in the database and in the file outside it; None when nothing is new."""
    with transaction.atomic():
        lock()
        last = AuditEvent.objects.order_by("-seq").first()
        newest = AuditCheckpoint.objects.order_by("-seq").first()
        if last is None or (newest is not None and newest.seq >= last.seq):
            return None
        at = timezone.now()
        statement = Checkpoint(last.seq, chain.timestamp(at), last.digest)
        signature = keys.sign(current_keys(), statement.statement)
        row = AuditCheckpoint.objects.create(seq=last.seq, at=at, digest=last.digest, signature=signature)
    outside.append_checkpoint(directory(), replace(statement, signature=signature))
    return row


def seal_segments() -> int:
    """Close every full run of SEGMENT_EVENTS events with its Merkle root, which the chain records; how many."""
    sealed = 0
    while True:
        with transaction.atomic():
            lock()
            newest = AuditSegment.objects.order_by("-last_seq").first()
            first = newest.last_seq + 1 if newest else 1
            last = first + SEGMENT_EVENTS - 1
            digests = list(
                AuditEvent.objects.filter(seq__range=(first, last)).order_by("seq").values_list("digest", flat=True)
            )
            if len(digests) < SEGMENT_EVENTS:
                return sealed
            root = chain.merkle_root(digests)
            AuditSegment.objects.create(first_seq=first, last_seq=last, root=root, sealed_at=timezone.now())
            record(action="audit.segment_sealed", detail={"first": first, "last": last, "root": root})
        sealed += 1
