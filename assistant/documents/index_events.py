"""Telling replicas what changed. Knows: the contiguous sequence of events. Does not know: who reads it.

One writer at a time, until its transaction ends, so that sequence numbers become visible in order and without gaps:
an advisory lock on PostgreSQL; on SQLite every transaction begins IMMEDIATE and is alone anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from .models import IndexEvent

_LOCK = 0x696E6465  # "inde"
KEEP = 100_000  # events; a replica further behind rebuilds from the rows


def append(document_ids: Iterable[UUID]) -> int:
    """Record, in the transaction of the change, that these documents' searchable content changed; the last seq."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("append() belongs in the transaction of the change")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    last = last_seq()
    events = [
        IndexEvent(seq=seq, document_id=document_id)
        for seq, document_id in enumerate(dict.fromkeys(document_ids), start=last + 1)
    ]
    IndexEvent.objects.bulk_create(events, batch_size=500)
    return last + len(events)


def last_seq() -> int:
    """The newest event's number, 0 when there is none."""
    return int(IndexEvent.objects.aggregate(last=Max("seq"))["last"] or 0)


def prune() -> int:
    """Forget events that every living replica has long applied; how many went."""
    return IndexEvent.objects.filter(seq__lte=last_seq() - KEEP).delete()[0]
