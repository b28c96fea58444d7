"""A week of the log in numbers, beside the week before. Knows: events. Does not know: people, documents, words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Case, Count, IntegerField, Q, Sum, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone

from . import denials
from .models import AuditCheckpoint, AuditEvent, AuditPruning

NOTABLE = 50  # at most so many events are named
_BEGUN = "intent"  # counted once, by what came of it
_COUNTS: dict[str, Q] = {
    "questions": Q(action="answer.asked"),
    "answered": Q(action="answer.shown", detail__outcome="answered"),
    "not_found": Q(action="answer.shown", detail__outcome="not_found"),
    "answers_refused": Q(action="answer.refused"),
    "answers_failed": Q(action="answer.failed"),
    "searches": Q(action="search.asked"),
    "pages": Q(action="document.page_viewed"),
    "downloads": Q(action="document.downloaded"),
    "uploads": Q(action__in=["document.uploaded", "document.replaced"]),
    "deletions": Q(action__in=["document.deleted", "collection.deleted"]) & ~Q(outcome=_BEGUN),
    "sign_ins": Q(action="auth.sign_in"),
    "sign_ins_refused": Q(action="auth.refused"),
    "denied": Q(action=denials.ACTION),
    "rights": Q(action__startswith="grant.") | Q(action__in=["document.unrestricted", "token.issued"]),
    "people": Q(action__in=["account.created", "account.changed", "account.disabled", "account.enabled"]),
    "openings": Q(action="audit.content_opened"),
    "exports": Q(action="audit.exported"),
    "golden_runs": Q(action="golden.run", outcome="success"),
    "drifted": Q(action="golden.drifted"),
    "verified": Q(action="audit.verified", outcome="success"),
    "verified_badly": Q(action="audit.verified", outcome="failed"),
}
COUNTS = tuple(_COUNTS)
# An event stands for one time, or for as many as it says: denials of one minute are counted in one.
_TIMES = Case(
    When(action=denials.ACTION, then=Cast(KeyTextTransform("count", "detail"), IntegerField())), default=Value(1)
)
_NOTABLE = (
    Q(action="audit.verified", outcome="failed")
    | Q(action__in=["audit.content_opened", "audit.pruned", "audit.exported", "document.unrestricted"])
    | Q(action__in=["golden.drifted", "account.disabled", "setting.changed", "model.changed", "document.quarantined"])
)


@dataclass(frozen=True, slots=True)
class Line:
    """One number of the week, and the same of the week before."""

    name: str
    now: int
    before: int


@dataclass(frozen=True, slots=True)
class Digest:
    """`first` is the Monday, `last` the Sunday. `turned_away`: (who, how often), most often first."""

    first: date
    last: date
    events: int
    active: int
    lines: tuple[Line, ...]
    turned_away: tuple[tuple[str, int], ...]
    notable: tuple[AuditEvent, ...]
    checkpoints: int
    pruned: int


def week(day: date) -> Digest:
    """The week, Monday to Sunday in the installation's time zone, that `day` lies in."""
    first = day - timedelta(days=day.weekday())
    begin, end = _midnight(first), _midnight(first + timedelta(days=7))
    within = AuditEvent.objects.filter(at__gte=begin, at__lt=end)
    now, before = _counts(begin, end), _counts(_midnight(first - timedelta(days=7)), begin)
    denied = within.filter(Q(action__in=["access.denied", "auth.refused"]), actor__startswith="user:")
    often = denied.order_by().values("actor").annotate(often=Sum(_TIMES)).order_by("-often", "actor")[:10]
    facts = within.aggregate(
        events=Count("seq"), active=Count("actor", distinct=True, filter=Q(actor__startswith="user:"))
    )
    return Digest(
        first=first,
        last=first + timedelta(days=6),
        events=facts["events"],
        active=facts["active"],
        lines=tuple(Line(name, now[name], before[name]) for name in COUNTS),
        turned_away=tuple((row["actor"], row["often"]) for row in often),
        notable=tuple(within.filter(_NOTABLE).order_by("-seq")[:NOTABLE]),
        checkpoints=AuditCheckpoint.objects.filter(at__gte=begin, at__lt=end).count(),
        pruned=AuditPruning.objects.filter(at__gte=begin, at__lt=end).count(),
    )


def _counts(begin: datetime, end: datetime) -> dict[str, int]:
    found = AuditEvent.objects.filter(at__gte=begin, at__lt=end).order_by()
    return found.aggregate(**{name: Sum(_TIMES, filter=condition, default=0) for name, condition in _COUNTS.items()})


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
