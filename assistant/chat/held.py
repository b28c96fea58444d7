"""Conversations under legal hold: those of a held person, and those in which an answer has words of a held document.

Knows: which holds keep which conversations, and who is told when somebody wants one gone: the reviewers of the record,
by an event for each hold, which the page of holds counts. Does not know: how holds are placed and lifted.

Whoever deletes a conversation that a held document keeps is not told of the hold: it disappears for them, and is erased
once the hold is lifted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from django.db.models import Count, Max, Q, QuerySet

from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent
from assistant.documents import holds
from assistant.documents.models import HoldKind, LegalHold
from assistant.errors import Conflict

from .models import Answer, Conversation

ACTION = "hold.kept"
_NAMED = 100  # conversations in one event


def kept() -> Q:
    """Which conversations must be kept."""
    quoting = Answer.objects.filter(rests_on__in=holds.held_documents()).values("conversation")
    return Q(owner__in=holds.held_people()) | Q(pk__in=quoting)


def check(rows: QuerySet[Conversation]) -> None:
    """Raises Conflict when one of them must be kept."""
    if rows.filter(kept()).exists():
        raise Conflict(
            "Conversations of this person must be kept: they quote what is under legal hold.", code="legal_hold"
        )


def tell(rows: QuerySet[Conversation], *, asked: str) -> int:
    """Put on record that one of these was to go, "deletion" or "erasure", and which holds keep it; how many do."""
    count = 0
    for hold in holds.living():
        if found := sorted(map(str, rows.filter(_under(hold)).values_list("pk", flat=True))):
            detail = {"asked": asked, "count": len(found), "conversations": found[:_NAMED]}
            audit.record(action=ACTION, outcome="refused", target=("hold", str(hold.pk)), detail=detail)
            count += 1
    return count


def described(rows: Iterable[LegalHold], *, actor: User) -> list[holds.HoldView]:
    """`holds.described` with the number of conversations each keeps, and how often one of them was to go."""
    found = list(rows)
    numbers = [str(row.pk) for row in found]
    events = AuditEvent.objects.filter(action=ACTION, target_type="hold", target_id__in=numbers).order_by()
    times = {
        int(row["target_id"]): (row["times"], row["last"])
        for row in events.values("target_id").annotate(times=Count("seq"), last=Max("at"))
    }
    views = []
    for row, view in zip(found, holds.described(found, actor=actor), strict=True):
        asked, last = times.get(row.pk, (0, None))
        count = Conversation.objects.filter(_under(row)).count() if row.lifted_at is None else 0
        views.append(replace(view, conversations=count, asked=asked, last_asked=last))
    return views


def _under(hold: LegalHold) -> Q:
    if hold.kind == HoldKind.PERSON:
        return Q(owner=int(hold.target))
    where = {"rests_on": hold.target} if hold.kind == HoldKind.DOCUMENT else {"rests_on__collection": int(hold.target)}
    return Q(pk__in=Answer.objects.filter(**where).values("conversation"))
