"""Reviewing the audit log: who may, whom an event speaks of, and that reviewing is itself on record.

Knows: the duty of review, people by their number. Does not know: the chain (`audit`). Texts are never given out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.db import transaction
from django.db.models import QuerySet

from assistant.audit import digests, exports, reading, sight, syslog
from assistant.audit import services as audit
from assistant.audit.digests import Digest
from assistant.audit.models import AuditEvent, AuditQuery
from assistant.audit.reading import Filters
from assistant.audit.verification import Report
from assistant.errors import Conflict, Invalid, NotFound, Unavailable
from assistant.guardrails import sanitize

from .models import User
from .policy import only
from .roles import Duty, require

SAVED_AT_MOST = 50
SAVED_FILTERS = ("person", "action", "outcome", "target", "since", "until")
FORMATS: dict[str, tuple[str, Callable[[QuerySet[AuditEvent]], Iterator[str]]]] = {
    "jsonl": ("application/x-ndjson", exports.jsonl),
    "csv": ("text/csv; charset=utf-8", exports.csv_rows),
    "cef": ("text/plain; charset=utf-8", exports.cef_lines),
}


def events(*, actor: User, filters: Filters = Filters()) -> QuerySet[AuditEvent]:  # noqa: B008  (frozen)
    """Events for a reviewer, newest first; looking is recorded. `filters.actor` may be an e-mail address.

    Raises PermissionRefused, AuditUnavailable.
    """
    found, asked = _select(actor, filters)
    audit.record(action="audit.viewed", detail=asked)
    return found


@dataclass(frozen=True, slots=True)
class Looked:
    """One event, its neighbours in the chain (None at an end), and others of the same request by number."""

    event: AuditEvent
    before: AuditEvent | None
    after: AuditEvent | None
    same_request: list[AuditEvent]


def event(*, actor: User, seq: int) -> Looked:
    """One event with its links; looking is recorded. Raises NotFound, PermissionRefused, AuditUnavailable."""
    require(actor, Duty.REVIEW_AUDIT)
    near = {row.seq: row for row in AuditEvent.objects.filter(seq__range=(max(1, seq - 1), seq + 1))}
    if seq not in near:
        raise NotFound
    row, same = near[seq], AuditEvent.objects.none()
    if row.request_id:
        same = AuditEvent.objects.filter(request_id=row.request_id).exclude(seq=seq).order_by("seq")[:50]
    found = Looked(row, near.get(seq - 1), near.get(seq + 1), list(same))
    audit.record(action="audit.viewed", target=("event", str(seq)))
    return found


def verify(*, actor: User) -> Report:
    """Walk the whole log. Raises PermissionRefused, AuditUnavailable."""
    require(actor, Duty.REVIEW_AUDIT)
    report = reading.verify_log()
    finding = {"seq": report.finding.seq, "kind": report.finding.kind} if report.finding else None
    detail = {"events": report.events, "last": report.last, "finding": finding}
    audit.record(action="audit.verified", outcome="success" if report.ok else "failed", detail=detail)
    return report


def export(*, actor: User, form: str, filters: Filters = Filters()) -> tuple[str, Iterator[str]]:  # noqa: B008
    """Media type and lines. Without a filter, `jsonl` is the whole verifiable log. The intent is on record first.

    Raises PermissionRefused, Invalid for an unknown format, AuditUnavailable.
    """
    found, asked = _select(actor, filters)
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise Invalid(f"This format does not exist: one of {known}.", fields={"format": [f"One of: {known}."]})
    media_type, write = FORMATS[form]
    audit.intent(action="audit.exported", detail={"format": form, **asked})
    return media_type, exports.jsonl() if form == "jsonl" and not asked else write(found)


def send(*, actor: User, address: str, filters: Filters = Filters()) -> int:  # noqa: B008
    """Hand events to a log collector inside the network, as CEF over syslog; how many. The intent is on record first.

    Raises PermissionRefused, Invalid for an address that is none or leads outside, Unavailable, AuditUnavailable.
    """
    found, asked = _select(actor, filters)
    collector = syslog.parse(address)
    detail: dict[str, Any] = {"format": "cef", "collector": str(collector), **asked}
    audit.intent(action="audit.exported", detail=detail)
    try:
        with syslog.Collector(collector) as connection:
            count = connection.send(reading.links(found.order_by("seq")))
    except (Invalid, Unavailable):
        audit.record(action="audit.exported", outcome="failed", detail=detail)
        raise
    audit.record(action="audit.exported", detail={**detail, "events": count})
    return count


def sights(
    *, actor: User, document: str = "", person: str = "", since: datetime | None = None, until: datetime | None = None
) -> list[sight.Sights]:
    """Who saw the document, or else what the person saw: people or documents, the latest first. Recorded. Nobody
    named: nothing.

    Raises PermissionRefused, AuditUnavailable.
    """
    require(actor, Duty.REVIEW_AUDIT)
    if not document and not person:
        return []
    filters = Filters(actor=person, mentions=document, since=since, until=until)
    found, asked = _select(actor, filters)
    audit.record(action="audit.viewed", detail={**asked, "sights": True})
    return sight.of_document(found, document) if document else sight.of_person(found)


def digest(*, actor: User, day: date) -> Digest:
    """The week that `day` lies in, told by its events. Recorded. Raises PermissionRefused, AuditUnavailable."""
    require(actor, Duty.REVIEW_AUDIT)
    found = digests.week(day)
    audit.record(action="audit.viewed", detail={"digest": found.first.isoformat()})
    return found


def saved(*, actor: User) -> QuerySet[AuditQuery]:
    """The reviewer's own saved searches. Raises PermissionRefused."""
    require(actor, Duty.REVIEW_AUDIT)
    return AuditQuery.objects.filter(owner=f"user:{actor.pk}")


def save(*, actor: User, name: str, query: str) -> AuditQuery:
    """Keep a search under a name; the same name again replaces it. `query` is a query string of SAVED_FILTERS.

    Raises Invalid, Conflict (too many), PermissionRefused.
    """
    mine = saved(actor=actor)
    cleaned = sanitize.title(name, limit=80)
    if not cleaned:
        raise Invalid("Type a name.", fields={"name": ["Type a name."]})
    given = {key: sanitize.title(value, limit=254) for key, value in parse_qsl(query)}
    query = urlencode({key: given[key] for key in SAVED_FILTERS if given.get(key)})
    if not query:
        raise Invalid("Filter the log first, then keep the search.", fields={"query": ["No filter is set."]})
    if len(query) > 500:
        raise Invalid("This search is too long to keep.", fields={"query": ["Too long."]})
    if mine.count() >= SAVED_AT_MOST and not mine.filter(name=cleaned).exists():
        raise Conflict("Remove a saved search first: there are too many.")
    with transaction.atomic():
        row, _ = AuditQuery.objects.update_or_create(owner=f"user:{actor.pk}", name=cleaned, defaults={"query": query})
        audit.record(action="audit.query_saved", target=("query", str(row.pk)))
    return row


def forget(*, actor: User, query_id: int) -> None:
    """Raises NotFound, PermissionRefused."""
    row = only(saved(actor=actor), pk=query_id)
    with transaction.atomic():
        row.delete()
        audit.record(action="audit.query_removed", target=("query", str(query_id)))


def _select(actor: User, filters: Filters) -> tuple[QuerySet[AuditEvent], dict[str, str]]:
    require(actor, Duty.REVIEW_AUDIT)
    known = replace(filters, actor=_actor_of(filters.actor))
    return reading.events(known), known.facts()


def _actor_of(person: str) -> str:
    """How the log names the person: "user:ID"; an address nobody has gives a name that no event carries."""
    if "@" not in person:
        return person[:64]
    known = User.objects.filter(email__iexact=person).values_list("pk", flat=True).first()
    return f"user:{known}" if known is not None else "user:0"


def names(found: Iterable[AuditEvent]) -> dict[str, str]:
    """E-mail addresses for the "user:ID" in a page of events; whoever is gone has none."""
    return addresses(text for event in found for text in (event.actor, f"{event.target_type}:{event.target_id}"))


def addresses(actors: Iterable[str]) -> dict[str, str]:
    """The e-mail address for each "user:ID"; whoever is gone has none."""
    numbers = {
        int(text.removeprefix("user:"))
        for text in actors
        if text.startswith("user:") and text.removeprefix("user:").isdigit() and len(text) < 20
    }
    return {f"user:{pk}": email for pk, email in User.objects.filter(pk__in=numbers).values_list("pk", "email")}
