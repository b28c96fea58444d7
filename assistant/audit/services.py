"""Writing to the audit log, and erasing audited texts.

Knows: the lock, the chain, whose request it is (`observability.current()`). Does not know: people or documents; who may
read the log is decided where people are known (`accounts.review`).

`intent` commits alone, before anything is retrieved, exported or deleted; `record` joins the transaction of the change
as its last statement. When neither is possible nothing happens: AuditUnavailable, 503.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from .patience import short_transaction
from .verification import CLOCK_MOVED, Checkpoint

PATIENCE_MS = 2000  # an intent answers within 2.5 s, whatever the database does
CHECKPOINT_EVERY = 1000  # events; and once a minute, see tasks
SEGMENT_EVENTS = 10_000
_LOCK = 0x61756469
_TAKE_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK})"
_READ_END = "SELECT seq, digest, at FROM audit_auditevent ORDER BY seq DESC LIMIT 1"
_COLUMNS = tuple(field.attname for field in AuditEvent._meta.concrete_fields)
_INSERT = (
    f"INSERT INTO audit_auditevent ({', '.join(_COLUMNS)}) "  # noqa: S608 (names of our own columns)
    f"VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
)
_INSERT_CONTENT = "INSERT INTO audit_auditcontent (event_id, salt, ciphertext) VALUES (%s, %s, %s)"
# A commit that waits for the disk, and with it for everything written before (an empty message: no table is touched).
_FLUSH = "SELECT pg_logical_emit_message(true, 'assistant.audit', '')"
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
        with short_transaction(milliseconds=PATIENCE_MS, durable=True) as bounds:
            event = _append(
                action=action, outcome="intent", target=target, detail=detail, content=content, bounds=bounds
            )
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
        with short_transaction(milliseconds=PATIENCE_MS) as bounds:
            event = _append(
                action=action, outcome=outcome, target=target, detail=detail, content=content, bounds=bounds
            )
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
    bounds: str,
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
    last = _locked_end(bounds)
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
    _insert(event, salt, keys.encrypt(derived, seq=seq, content=texts) if texts else b"", last=bool(bounds))
    return event


def _after_commit(event: AuditEvent) -> None:
    outside.advance_head(directory(), seq=event.seq, at=chain.timestamp(event.at), digest=event.digest)
    if event.seq % CHECKPOINT_EVERY == 0:
        checkpoint()


def lock() -> None:
    """One writer at a time, until the transaction ends. SQLite has it already (BEGIN IMMEDIATE)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_LOCK)


# Every writer waits for the one that holds the lock, so the statements under it are written out: the ORM takes longer
# to put one together than the database to run it. On PostgreSQL those that need no answer in between travel together,
# and an event that is a transaction of its own is flushed after the lock is free, together with those of other
# writers. It is durable when the statement returns all the same, and nobody's event can outlive the one it continues:
# the write-ahead log keeps their order.


def _locked_end(bounds: str) -> tuple[int, str, datetime] | None:
    """Number, digest and time of the last event, read under the lock; None when there is none."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            early = "SET LOCAL synchronous_commit = off;" if bounds else ""
            # A statement sees what was committed before it began: the reading has to be one of its own, after the lock.
            cursor.execute(f"{bounds} {early} {_TAKE_LOCK}; {_READ_END}")
            while cursor.nextset():
                pass
        else:
            cursor.execute(_READ_END)
        row = cursor.fetchone()
    if row is None:
        return None
    seq, digest, at = row
    return seq, digest, at if at.tzinfo else at.replace(tzinfo=UTC)  # SQLite keeps UTC without saying so


def _insert(event: AuditEvent, salt: bytes, ciphertext: bytes, *, last: bool) -> None:
    """Store the event and its text. `last`: nothing else belongs to this transaction on PostgreSQL, so that it can
    be committed and flushed on the same way; Django's own commit then finds nothing to do."""
    values: list[Any] = [getattr(event, name) for name in _COLUMNS]
    values[_COLUMNS.index("at")] = connection.ops.adapt_datetimefield_value(event.at)
    values[_COLUMNS.index("detail")] = connection.ops.adapt_json_value(event.detail, None)
    statements = [(_INSERT, values)]
    if ciphertext:
        statements.append((_INSERT_CONTENT, [event.seq, salt, ciphertext]))
    with connection.cursor() as cursor:
        if last:
            together = "; ".join([*(statement for statement, _ in statements), "COMMIT", _FLUSH])
            cursor.execute(together, [value for _, many in statements for value in many])
        else:
            for statement, many in statements:
                cursor.execute(statement, many)
    event._state.adding, event._state.db = False, connection.alias


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
