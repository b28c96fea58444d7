"""Reviewing the audit log: who may, whom an event speaks of, and that reviewing is itself on record.

Knows: the duty of review, people by their number. Does not know: the chain (`audit`). Texts are never given out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from assistant.audit import exports, reading
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent
from assistant.audit.verification import Report
from assistant.errors import Invalid

from .models import User
from .roles import Duty, require

FORMATS: dict[str, tuple[str, Callable[[QuerySet[AuditEvent]], Iterator[str]]]] = {
    "jsonl": ("application/x-ndjson", exports.jsonl),
    "csv": ("text/csv; charset=utf-8", exports.csv_rows),
    "cef": ("text/plain; charset=utf-8", exports.cef_lines),
}


def events(
    *,
    actor: User,
    person: str = "",
    action: str = "",
    target: str = "",
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    request_id: str = "",
) -> QuerySet[AuditEvent]:
    """Events for a reviewer, newest first; looking is recorded. `person`: an e-mail address, or "system".

    Raises PermissionRefused, AuditUnavailable.
    """
    found, asked = _select(actor, person, action, target, outcome, since, until, request_id)
    audit.record(action="audit.viewed", detail=asked)
    return found


def verify(*, actor: User) -> Report:
    """Walk the whole log. Raises PermissionRefused, AuditUnavailable."""
    require(actor, Duty.REVIEW_AUDIT)
    report = reading.verify_log()
    finding = {"seq": report.finding.seq, "kind": report.finding.kind} if report.finding else None
    detail = {"events": report.events, "last": report.last, "finding": finding}
    audit.record(action="audit.verified", outcome="success" if report.ok else "failed", detail=detail)
    return report


def export(
    *,
    actor: User,
    form: str,
    person: str = "",
    action: str = "",
    target: str = "",
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    request_id: str = "",
) -> tuple[str, Iterator[str]]:
    """Media type and lines. Without a filter, `jsonl` is the whole verifiable log. The intent is on record first.

    Raises PermissionRefused, Invalid for an unknown format, AuditUnavailable.
    """
    found, asked = _select(actor, person, action, target, outcome, since, until, request_id)
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise Invalid(f"This format does not exist: one of {known}.", fields={"format": [f"One of: {known}."]})
    media_type, write = FORMATS[form]
    audit.intent(action="audit.exported", detail={"format": form, **asked})
    return media_type, exports.jsonl() if form == "jsonl" and not asked else write(found)


def _select(
    actor: User,
    person: str,
    action: str,
    target: str,
    outcome: str,
    since: datetime | None,
    until: datetime | None,
    request_id: str,
) -> tuple[QuerySet[AuditEvent], dict[str, Any]]:
    require(actor, Duty.REVIEW_AUDIT)
    who = _actor_of(person)
    found = reading.events(
        actor=who, action=action, target=target, outcome=outcome, since=since, until=until, request_id=request_id
    )
    asked = {
        "actor": who,
        "action": action[:64],
        "target": target[:100],
        "outcome": outcome[:20],
        "since": since.isoformat() if since else "",
        "until": until.isoformat() if until else "",
        "request_id": request_id[:64],
    }
    return found, {name: value for name, value in asked.items() if value}


def _actor_of(person: str) -> str:
    """How the log names the person: "user:ID"; an address nobody has gives a name that no event carries."""
    if "@" not in person:
        return person[:64]
    known = User.objects.filter(email__iexact=person).values_list("pk", flat=True).first()
    return f"user:{known}" if known is not None else "user:0"


def names(found: Iterable[AuditEvent]) -> dict[str, str]:
    """E-mail addresses for the "user:ID" in a page of events; whoever is gone has none."""
    numbers = {
        int(text.removeprefix("user:"))
        for event in found
        for text in (event.actor, f"{event.target_type}:{event.target_id}")
        if text.startswith("user:") and text.removeprefix("user:").isdigit() and len(text) < 20
    }
    return {f"user:{pk}": email for pk, email in User.objects.filter(pk__in=numbers).values_list("pk", "email")}
