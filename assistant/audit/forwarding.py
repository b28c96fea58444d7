"""Events go on to a collector as they are written, when AUDIT_SYSLOG names one; otherwise never.

Knows: the setting, and how far the collector has been served (`AuditForwarding`, one row). Does not know: frames and
sockets (`syslog`). Every event goes out at least once and in order: the place moves on after a batch is handed over,
so what was under way when a process died goes out again. Beginning, losing and regaining the collector are events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from assistant.errors import Invalid, Unavailable

from . import reading, services, syslog
from .models import AuditEvent, AuditForwarding

LATE = timedelta(minutes=15)  # what waits longer is not under way any more
BATCH = 500
BATCHES_AT_ONCE = 20
ACTION = "audit.forwarding"


def forward() -> int:
    """Send what the collector does not have yet, a while's worth at most; how many. Raises Unavailable or Invalid
    after the loss is on record (once, until it is regained)."""
    if not settings.AUDIT_SYSLOG:
        return 0
    place = _place(settings.AUDIT_SYSLOG)
    sent = 0
    try:
        with syslog.Collector(syslog.parse(settings.AUDIT_SYSLOG)) as collector:
            if place.lost:
                _tell(place, lost=False)
            for _ in range(BATCHES_AT_ONCE):
                links = list(islice(reading.links(_waiting(place.seq)), BATCH))
                if not links:
                    break
                sent += collector.send(links)
                last = links[-1].record["seq"]
                if not AuditForwarding.objects.filter(pk=place.pk, seq=place.seq).update(seq=last, at=timezone.now()):
                    break  # another process is at it
                place.seq = last
    except (Unavailable, Invalid) as error:
        AuditForwarding.objects.filter(pk=place.pk).update(problem=error.detail[:300])
        if not place.lost:
            _tell(place, lost=True)
        raise
    return sent


@dataclass(frozen=True, slots=True)
class Standing:
    """How the collector is served: events it does not have yet and since when the first of them waits, when it was last
    given some, and why not since (the last error; "" when it was reached)."""

    address: str
    waiting: int
    since: datetime | None
    served_at: datetime | None
    problem: str

    @property
    def ok(self) -> bool:
        return not self.problem and (self.since is None or timezone.now() - self.since < LATE)


def standing() -> Standing | None:
    """None when events are not sent on."""
    if not settings.AUDIT_SYSLOG:
        return None
    row = AuditForwarding.objects.filter(address=settings.AUDIT_SYSLOG).first() or AuditForwarding()
    behind = _waiting(row.seq)
    first = behind.values_list("at", flat=True).first()
    return Standing(settings.AUDIT_SYSLOG, behind.count(), first, row.at, row.problem)


def _waiting(seq: int) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(seq__gt=seq).order_by("seq")


def _place(address: str) -> AuditForwarding:
    """How far this collector is. A new one begins with the oldest event that is kept."""
    row = AuditForwarding.objects.filter(address=address).first()
    if row is None:
        with transaction.atomic():
            row, created = AuditForwarding.objects.get_or_create(address=address)
            if created:
                services.record(action=ACTION, target=("collector", str(row.pk)), detail={"address": address})
    return row


def _tell(place: AuditForwarding, *, lost: bool) -> None:
    with transaction.atomic():
        AuditForwarding.objects.filter(pk=place.pk).update(lost=lost, **({} if lost else {"problem": ""}))
        place.lost = lost
        detail = {"address": place.address, "served": place.seq}
        outcome = "failed" if lost else "success"
        services.record(action=ACTION, outcome=outcome, target=("collector", str(place.pk)), detail=detail)
