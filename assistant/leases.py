"""Jobs as rows: a lease says who works, a fence makes a late worker harmless.

Knows: attempt, lease and fence of any row that is a job. Does not know: what the job does or how it is queued.
Celery may lose or repeat a task; only the holder of the newest fence may write results.
Source of the fence: M. Kleppmann, "How to do distributed locking" (2016).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

LONGEST = timedelta(minutes=2)  # no lease is given for more


class LeaseLost(Exception):
    """Another worker holds a newer fence, or the row is gone: stop quietly, write nothing."""


class Leased(models.Model):
    """Fields of a row that is a job."""

    attempt = models.PositiveSmallIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


Job = TypeVar("Job", bound=Leased)


def claim(queryset: models.QuerySet[Job], pk: Any, *, seconds: int, **changes: Any) -> Job | None:
    """Take the job if nobody holds it, with these `changes`; None if it is gone, not in `queryset`, or another's."""
    now = timezone.now()
    taken = (
        queryset.filter(pk=pk)
        .filter(_free(now))
        .update(fence=F("fence") + 1, attempt=F("attempt") + 1, lease_until=now + timedelta(seconds=seconds), **changes)
    )
    return queryset.model._default_manager.filter(pk=pk).first() if taken else None


def take(job: Leased, queryset: models.QuerySet[Any], *, seconds: int, **changes: Any) -> bool:
    """Claim a job that was just read, and let `job` say so, with these `changes`. False if somebody holds it, it is not
    in `queryset`, or it changed hands since it was read."""
    now = timezone.now()
    ours = {
        "fence": job.fence + 1,
        "attempt": job.attempt + 1,
        "lease_until": now + timedelta(seconds=seconds),
        **changes,
    }
    taken = queryset.filter(_free(now), pk=job.pk, fence=job.fence).update(**ours)
    for name, value in ours.items() if taken else ():
        setattr(job, name, value)
    return bool(taken)


def renew(job: Leased, *, seconds: int) -> None:
    """Extend the lease. Raises LeaseLost."""
    until = timezone.now() + timedelta(seconds=seconds)
    if not type(job)._default_manager.filter(pk=job.pk, fence=job.fence).update(lease_until=until):
        raise LeaseLost(str(job.pk))


def hold(job: Job) -> Job:
    """Lock and reload the row inside the current transaction, if the fence is still ours. Raises LeaseLost."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("hold() needs a transaction")
    row = type(job)._default_manager.select_for_update().filter(pk=job.pk, fence=job.fence).first()
    if row is None:
        raise LeaseLost(str(job.pk))
    return row


def overdue(queryset: models.QuerySet[Job]) -> models.QuerySet[Job]:
    """Jobs nobody is working on: never leased, or with a lease that ran out."""
    return queryset.filter(_free(timezone.now()))


def _free(now: datetime) -> Q:
    """A lease longer than any that is given was written before the clock was put back: nobody need wait for it. Should
    its holder live after all, the fence keeps it from writing."""
    return Q(lease_until__isnull=True) | Q(lease_until__lt=now) | Q(lease_until__gt=now + LONGEST)
