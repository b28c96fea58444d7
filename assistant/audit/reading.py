"""Reads the log back and checks it against itself and against what lies outside the database.

Knows: the tables, the files in the data directory, the keys. Does not know: who asks (see `accounts.review`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from . import chain, keys, outside, retention, services
from .models import AuditCheckpoint, AuditContent, AuditEvent, AuditSegment
from .verification import Checkpoint, Finding, Link, Report, Segment, verify

_BATCH = 2000
_FIELDS = (
    "schema", "seq", "at", "request_id", "actor", "role", "session", "origin", "action",
    "target_type", "target_id", "outcome", "detail", "commitment", "previous",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; empty means any. The one list of filters: pages, REST, exports and saved searches share it.

    `actor` is "user:ID", "system" or "anonymous"; `action` may be a family ("document."); `target` is "kind:id" or a
    kind; `mentions` is an id that an event is about or names in its detail, such as a document that was retrieved.
    """

    actor: str = ""
    action: str = ""
    target: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None
    request_id: str = ""
    mentions: str = ""

    def facts(self) -> dict[str, str]:
        """What was looked for, for the record."""
        given = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in _given(self)}
        return {name: text[:100] for name, text in given.items()}


def _given(filters: Filters) -> list[tuple[str, Any]]:
    return [(item.name, value) for item in fields(filters) if (value := getattr(filters, item.name))]


def events(filters: Filters = Filters()) -> QuerySet[AuditEvent]:
    """Newest first."""
    found = AuditEvent.objects.order_by("-seq")
    conditions = {
        "actor": "actor",
        "outcome": "outcome",
        "since": "at__gte",
        "until": "at__lt",
        "request_id": "request_id",
    }
    for name, value in _given(filters):
        if name == "action":
            found = found.filter(action__startswith=value) if value.endswith(".") else found.filter(action=value)
        elif name == "target":
            kind, _, identity = value.partition(":")
            found = found.filter(Q(target_type=kind) & (Q(target_id=identity) if identity else Q()))
        elif name == "mentions":
            found = found.filter(Q(target_id=value) | Q(detail__icontains=value))
        else:
            found = found.filter(**{conditions[name]: value})
    return found


def links(found: QuerySet[AuditEvent]) -> Iterator[Link]:
    """The events as they were hashed, in the order of the queryset, streamed in batches."""
    for row in found.values_list(*_FIELDS, "digest", "mac").iterator(chunk_size=_BATCH):
        yield Link(
            record={
                "schema": row[0],
                "seq": row[1],
                "at": chain.timestamp(row[2]),
                "request_id": row[3],
                "actor": row[4],
                "role": row[5],
                "session": row[6],
                "origin": row[7],
                "action": row[8],
                "target_type": row[9],
                "target_id": row[10],
                "outcome": row[11],
                "detail": row[12],
                "commitment": row[13],
                "previous": row[14],
            },
            digest=row[15],
            mac=row[16],
        )


def checkpoints() -> list[Checkpoint]:
    """From the table."""
    rows = AuditCheckpoint.objects.order_by("seq").values_list("seq", "at", "digest", "signature")
    return [Checkpoint(seq, chain.timestamp(at), digest, signature) for seq, at, digest, signature in rows]


def segments() -> list[Segment]:
    return [Segment(*row) for row in AuditSegment.objects.values_list("first_seq", "last_seq", "root")]


def verify_log() -> Report:
    """Walk the whole chain, its texts, trees and checkpoints, inside and outside the database."""
    ours = services.current_keys()
    # Read what must be in the log before reading the log: it may only grow in between.
    head = outside.read_head(services.directory())
    outer: list[Checkpoint] = []
    damaged = ""
    try:
        outer = outside.read_checkpoints(services.directory() / outside.CHECKPOINTS)
    except ValueError as error:
        damaged = str(error)
    known = [*checkpoints(), *outer, *([head] if head else [])]
    with _one_view():
        report = verify(
            links(AuditEvent.objects.order_by("seq")),
            mac_key=ours.mac,
            public_key=ours.public,
            checkpoints=known,
            segments=segments(),
            prunings=retention.prunings(),
        )
        if report.finding is None:
            report.finding = _bad_content(ours, report)
    if report.finding is None and damaged:
        report.finding = Finding(0, "checkpoint", damaged)
    return report


def _one_view() -> AbstractContextManager[Any]:
    """A transaction on PostgreSQL, for its server-side cursors. None on SQLite: it would lock out every writer, and
    one SELECT sees one state of the file anyway."""
    return transaction.atomic() if connection.vendor == "postgresql" else nullcontext()


def _bad_content(ours: keys.Keys, report: Report) -> Finding | None:
    """The first text that is missing, or is not what its event committed to. Erased ones are as they should be."""
    promised = AuditEvent.objects.exclude(commitment="").order_by("seq")
    rows: Iterator[tuple[Any, ...]] = promised.values_list(
        "seq", "commitment", "content__salt", "content__ciphertext", "content__erased_at", "content__event_id"
    ).iterator(chunk_size=_BATCH)
    for seq, commitment, salt, ciphertext, erased_at, present in rows:
        if present is None:
            return Finding(seq, "content", "its text is gone without having been erased")
        if erased_at is None and (
            ciphertext is None or not _committed(ours, seq, commitment, bytes(salt), bytes(ciphertext))
        ):
            return Finding(seq, "content", "its text is not what was recorded")
        report.contents += 1
    stray = AuditContent.objects.filter(event__commitment="").order_by("pk").values_list("pk", flat=True).first()
    return Finding(stray, "content", "it has a text that was not recorded") if stray is not None else None


def _committed(ours: keys.Keys, seq: int, commitment: str, salt: bytes, ciphertext: bytes) -> bool:
    try:
        plain = keys.decrypt(ours, seq=seq, ciphertext=ciphertext)
    except keys.ContentDamaged:
        return False
    return keys.commit_bytes(plain, salt) == commitment
