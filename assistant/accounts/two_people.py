"""What no reviewer may do alone: open the text of an event, remove old events. One asks, another agrees.

Knows: reviewers, permits, whose text it is. Does not know: the chain or keys (`audit`). Every step is an event; a
permit ends by itself, first when nobody decides, then when it is not used. Whoever's text was opened is told.
"""

from __future__ import annotations

import json
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from assistant.audit import keys, retention
from assistant.audit import services as audit
from assistant.audit.models import AuditContent, AuditEvent, AuditPermit, AuditSegment, PermitKind
from assistant.errors import Conflict, Invalid, SecondPerson
from assistant.guardrails import sanitize

from .models import User
from .policy import only
from .roles import Duty, require

DECIDE_WITHIN = timedelta(hours=72)
USE_WITHIN = {PermitKind.OPEN: timedelta(hours=1), PermitKind.PRUNE: timedelta(hours=24)}
_STEPS = {PermitKind.OPEN: "audit.opening", PermitKind.PRUNE: "audit.pruning"}
LEAST_REASON = 10  # characters


def permits(*, actor: User) -> QuerySet[AuditPermit]:
    """Everything reviewers asked of each other, newest first; looking is recorded. Raises PermissionRefused,
    AuditUnavailable."""
    require(actor, Duty.REVIEW_AUDIT)
    audit.record(action="audit.viewed", detail={"permits": True})
    return AuditPermit.objects.all()


def prunable(*, actor: User) -> list[AuditSegment]:
    """Sealed segments whose time is over, oldest first; looking is recorded. Raises PermissionRefused,
    AuditUnavailable."""
    require(actor, Duty.REVIEW_AUDIT)
    audit.record(action="audit.viewed", detail={"segments": True})
    return retention.prunable()


def ask_to_open(*, actor: User, seq: int, reason: str) -> AuditPermit:
    """Ask another reviewer for the text of event `seq`.

    Raises NotFound, Conflict (no text, or it is erased), Invalid, PermissionRefused, AuditUnavailable.
    """
    require(actor, Duty.REVIEW_AUDIT)
    event = only(AuditEvent.objects.all(), seq=seq)
    _content(event.seq)
    concerns = event.actor if event.actor.startswith("user:") else ""
    return _ask(actor, PermitKind.OPEN, event.seq, reason, concerns)


def ask_to_prune(*, actor: User, last: int, reason: str) -> AuditPermit:
    """Ask another reviewer to agree that the segments up to event `last` go.

    Raises Conflict unless `last` ends a sealed segment whose time is over and no legal hold keeps an event up to it,
    Invalid, PermissionRefused.
    """
    require(actor, Duty.REVIEW_AUDIT)
    if last not in {segment.last_seq for segment in retention.prunable()}:
        raise Conflict("No sealed segment that may go ends there.")
    retention.check_held(retention.upto(last))
    return _ask(actor, PermitKind.PRUNE, last, reason, "")


def decide(*, actor: User, permit_id: int, approve: bool) -> AuditPermit:
    """Agree or decline, as a reviewer who is not the one that asked. Raises NotFound, Conflict, PermissionRefused."""
    with transaction.atomic():
        row = _locked(actor, permit_id)
        if row.requested_by == _name(actor):
            raise SecondPerson("Another reviewer has to decide this.")
        if row.approved is not None:
            raise Conflict("This is decided already.")
        if row.expires_at <= timezone.now():
            raise Conflict("The time for this is over. It has to be asked for again.", code="expired")
        row.decided_by, row.decided_at, row.approved = _name(actor), timezone.now(), approve
        if approve:
            row.expires_at = row.decided_at + USE_WITHIN[PermitKind(row.kind)]
        row.save()
        step = f"{_STEPS[PermitKind(row.kind)]}_{'approved' if approve else 'declined'}"
        audit.record(action=step, target=("permit", str(row.pk)), detail=_facts(row))
    return row


def open_text(*, actor: User, permit_id: int) -> dict[str, str]:
    """The text, for the one who asked and while the permit lasts. On record before it is decrypted.

    Raises NotFound, Conflict, PermissionRefused, AuditUnavailable.
    """
    row = _usable(actor, permit_id, PermitKind.OPEN)
    audit.intent(action="audit.content_opened", target=("event", str(row.seq)), detail=_facts(row))
    stored = _content(row.seq)
    try:
        plain = keys.decrypt(audit.current_keys(), seq=row.seq, ciphertext=bytes(stored.ciphertext or b""))
    except keys.ContentDamaged as error:
        raise Conflict("The text is not what was recorded. Verify the log.") from error
    with transaction.atomic():
        AuditPermit.objects.filter(pk=row.pk, used_at=None).update(used_at=timezone.now(), seen_at=None)
        audit.record(action="audit.content_opened", target=("event", str(row.seq)), detail=_facts(row))
    found: dict[str, str] = json.loads(plain)
    return found


def prune(*, actor: User, permit_id: int) -> int:
    """Remove what the permit names; how many segments went. Raises NotFound, Conflict, PermissionRefused."""
    row = _usable(actor, permit_id, PermitKind.PRUNE)
    if row.used_at is not None:
        raise Conflict("This was done already.")
    audit.intent(action="audit.pruned", target=("segment", str(row.seq)), detail=_facts(row))
    pruned = retention.prune(last=row.seq, requested_by=row.requested_by, approved_by=row.decided_by)
    AuditPermit.objects.filter(pk=row.pk).update(used_at=timezone.now())
    return pruned


def openings(*, actor: User) -> QuerySet[AuditPermit]:
    """Whenever a text of this person was opened: by whom, allowed by whom, why. The latest first."""
    return AuditPermit.objects.filter(concerns=_name(actor), kind=PermitKind.OPEN, used_at__isnull=False).order_by(
        "-used_at"
    )


def unread(*, actor: User) -> int:
    """How many of these the person has not read yet."""
    return openings(actor=actor).filter(seen_at=None).count()


def acknowledge(*, actor: User) -> int:
    """The person has read about them; how many were new."""
    with transaction.atomic():
        told = openings(actor=actor).filter(seen_at=None).order_by().update(seen_at=timezone.now())
        if told:
            audit.record(action="audit.notice_read", detail={"notices": told})
    return told


def _ask(actor: User, kind: PermitKind, seq: int, reason: str, concerns: str) -> AuditPermit:
    cleaned = sanitize.title(reason, limit=500)
    if len(cleaned) < LEAST_REASON:
        raise Invalid("Say why.", fields={"reason": [f"Use at least {LEAST_REASON} characters."]})
    now = timezone.now()
    with transaction.atomic():
        row = AuditPermit.objects.create(
            kind=kind,
            seq=seq,
            reason=cleaned,
            concerns=concerns,
            requested_by=_name(actor),
            requested_at=now,
            expires_at=now + DECIDE_WITHIN,
        )
        audit.record(
            action=f"{_STEPS[kind]}_asked",
            target=("permit", str(row.pk)),
            detail=_facts(row),
            content={"reason": cleaned},
        )
    return row


def _usable(actor: User, permit_id: int, kind: PermitKind) -> AuditPermit:
    require(actor, Duty.REVIEW_AUDIT)
    row = only(AuditPermit.objects.filter(kind=kind, requested_by=_name(actor)), pk=permit_id)
    if not row.approved:
        raise SecondPerson("Another reviewer has not agreed to this.")
    if row.expires_at <= timezone.now():
        raise Conflict("The time for this is over. It has to be asked for again.", code="expired")
    return row


def _locked(actor: User, permit_id: int) -> AuditPermit:
    require(actor, Duty.REVIEW_AUDIT)
    return only(AuditPermit.objects.select_for_update(), pk=permit_id)


def _content(seq: int) -> AuditContent:
    """The stored text of an event. Raises Conflict when there is none any more."""
    row = AuditContent.objects.filter(pk=seq).first()
    if row is None:
        raise Conflict("No text belongs to this event.")
    if row.ciphertext is None:
        raise Conflict("The text was erased.")
    return row


def _facts(row: AuditPermit) -> dict[str, int | str]:
    return {"permit": row.pk, "event": row.seq, "asked_by": row.requested_by, "agreed_by": row.decided_by}


def _name(user: User) -> str:
    return f"user:{user.pk}"
