"""Letting old events go: whole sealed segments, oldest first, after their time, with two people's names on it.

Knows: segments, the least age, the signed statement that takes a segment's place. Does not know: people; who may ask
and who may agree is decided where they are known (`accounts.two_people`). The database refuses any other removal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from assistant.errors import Conflict

from . import chain, keys, services
from .models import AuditContent, AuditEvent, AuditPruning, AuditSegment
from .verification import Pruning

# First and last event: the number of a hold that keeps one of them.
Keeper = Callable[[int, int], int | None]
_keepers: list[Keeper] = []


def ask_before_pruning(keeper: Keeper) -> None:
    """What must be kept is known in rooms above this one: they say, once, whom to ask."""
    if keeper not in _keepers:
        _keepers.append(keeper)


def check_held(segments: list[AuditSegment]) -> None:
    """Raises Conflict, naming the hold, when one of them has an event that must be kept."""
    for segment in segments:
        for keeper in _keepers:
            if hold := keeper(segment.first_seq, segment.last_seq):
                raise Conflict(
                    f"Legal hold {hold} keeps events between {segment.first_seq} and {segment.last_seq}. "
                    "Nothing was removed.",
                    code="events_held",
                    fields={"hold": [str(hold)]},
                )


def prunings() -> list[Pruning]:
    """From the table, oldest first."""
    return [
        Pruning(
            row.first_seq,
            row.last_seq,
            row.digest,
            chain.timestamp(row.at),
            row.requested_by,
            row.approved_by,
            row.signature,
        )
        for row in AuditPruning.objects.order_by("first_seq")
    ]


def prunable(now: datetime | None = None) -> list[AuditSegment]:
    """Sealed segments, next first, of which every event is older than AUDIT_RETENTION_DAYS; later ones wait."""
    before = (now or timezone.now()) - timedelta(days=settings.AUDIT_RETENTION_DAYS)
    gone = AuditPruning.objects.aggregate(last=Max("last_seq"))["last"] or 0
    found: list[AuditSegment] = []
    for segment in AuditSegment.objects.filter(first_seq__gt=gone).order_by("first_seq"):
        newest = AuditEvent.objects.filter(seq__range=(segment.first_seq, segment.last_seq)).aggregate(at=Max("at"))
        if newest["at"] is None or newest["at"] >= before:
            break
        found.append(segment)
    return found


def prune(*, last: int, requested_by: str, approved_by: str) -> int:
    """Remove every prunable segment up to event `last`, each in a transaction of its own; how many.

    A segment whose events no longer give its root stays: it is evidence. None goes when one of them is held. Raises
    Conflict.
    """
    found = upto(last)
    check_held(found)
    for segment in found:
        _prune(segment, requested_by, approved_by)
    return len(found)


def upto(last: int) -> list[AuditSegment]:
    """The prunable segments up to event `last`."""
    return [segment for segment in prunable() if segment.last_seq <= last]


def _prune(segment: AuditSegment, requested_by: str, approved_by: str) -> None:
    span = (segment.first_seq, segment.last_seq)
    with transaction.atomic():
        services.lock()
        check_held([segment])  # a hold may have been placed meanwhile
        events = AuditEvent.objects.filter(seq__range=span)
        digests = list(events.order_by("seq").values_list("digest", flat=True))
        if len(digests) != span[1] - span[0] + 1 or chain.merkle_root(digests) != segment.root:
            raise Conflict("This segment is not what was sealed. Verify the log; nothing was removed.")
        at = timezone.now()
        statement = Pruning(*span, digests[-1], chain.timestamp(at), requested_by, approved_by)
        AuditPruning.objects.create(
            first_seq=span[0],
            last_seq=span[1],
            digest=digests[-1],
            at=at,
            requested_by=requested_by,
            approved_by=approved_by,
            signature=keys.sign(services.current_keys(), statement.statement),
        )
        contents = AuditContent.objects.filter(pk__gte=span[0], pk__lte=span[1])
        contents._raw_delete(contents.db)  # the relation protects; the triggers decide
        events._raw_delete(events.db)
        detail: dict[str, Any] = {**statement.statement, "root": segment.root}
        services.record(action="audit.pruned", target=("segment", str(span[1])), detail=detail)
