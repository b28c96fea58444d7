"""Legal holds: what must be kept, whoever wants it gone. Knows: who may place and lift one, and what it covers. Does
not know: conversations (`chat.held` asks about their owner and what they quote).

A hold on a collection covers its documents, on a document that one and the conversations that quote it, on a person
their account and conversations. It is placed at once, by an administrator of people or a reviewer of the record; it is
lifted when the one duty asks and another person with the other duty agrees. Erasure, retention and moving out of a held
collection stop with a sentence that says so; reading and asking go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, has_duty, require
from assistant.audit import services as audit
from assistant.errors import Conflict, Invalid, NotFound, PermissionRefused, SecondPerson
from assistant.guardrails import sanitize

from .models import Collection, Document, HoldKind, LegalHold

LEAST_REASON = 10  # characters


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold for people to read. `target` is a slug, a document's id (its title is a text) or an address; who or what
    is gone keeps its number."""

    id: int
    kind: str
    target: str
    reason: str
    placed_by: str
    placed_at: datetime
    lift_asked_by: str
    lift_asked_at: datetime | None
    lift_reason: str
    lifted_by: str
    lifted_at: datetime | None
    may_ask: bool
    may_lift: bool
    conversations: int = 0  # kept by it, and how often one of them was to go: filled in where they are known
    asked: int = 0
    last_asked: datetime | None = None


def holds(*, actor: User) -> QuerySet[LegalHold]:
    """Every hold, newest first. Raises PermissionRefused."""
    check_duty(actor)
    return LegalHold.objects.all()


def described(rows: Iterable[LegalHold], *, actor: User) -> list[HoldView]:
    """The holds with the names of what they keep and of who did what, and what this person can do about each."""
    found = list(rows)
    people = {row.pk: row.email for row in User.objects.filter(pk__in=_people_of(found))}
    places = dict(Collection.objects.filter(pk__in=_targets(found, HoldKind.COLLECTION)).values_list("pk", "slug"))
    names = {
        HoldKind.COLLECTION: {str(key): slug for key, slug in places.items()},
        HoldKind.PERSON: {str(key): email for key, email in people.items()},
    }
    return [
        HoldView(
            id=row.pk,
            kind=row.kind,
            target=names.get(HoldKind(row.kind), {}).get(row.target, row.target),
            reason=row.reason,
            placed_by=people.get(row.placed_by, f"user:{row.placed_by}"),
            placed_at=row.placed_at,
            lift_asked_by=_by(row.lift_asked_by, people),
            lift_asked_at=row.lift_asked_at,
            lift_reason=row.lift_reason,
            lifted_by=_by(row.lifted_by, people),
            lifted_at=row.lifted_at,
            may_ask=row.lifted_at is None and row.lift_asked_by is None and has_duty(actor, Duty.MANAGE_PEOPLE),
            may_lift=row.lifted_at is None
            and row.lift_asked_by not in (None, actor.pk)
            and has_duty(actor, Duty.REVIEW_AUDIT),
        )
        for row in found
    ]


def place(*, actor: User, kind: str, target: str, reason: str) -> LegalHold:
    """Keep a collection (slug), a document (id) or a person (e-mail) from now on. A second hold on the same is one more
    to lift. Raises Invalid, NotFound, PermissionRefused, AuditUnavailable."""
    check_duty(actor)
    cleaned = _reason(reason, "Say why it must be kept.")
    with transaction.atomic():
        row = LegalHold.objects.create(kind=kind, target=_resolved(kind, target), reason=cleaned, placed_by=actor.pk)
        audit.record(action="hold.placed", target=_named(row), detail={"hold": row.pk}, content={"reason": cleaned})
    return row


def ask_to_lift(*, actor: User, hold_id: int, reason: str) -> LegalHold:
    """The first half of lifting: by who manages people. Raises Invalid, NotFound, Conflict, PermissionRefused."""
    require(actor, Duty.MANAGE_PEOPLE)
    cleaned = _reason(reason, "Say why it need not be kept any longer.")
    with transaction.atomic():
        row = _open(hold_id)
        row.lift_asked_by, row.lift_asked_at, row.lift_reason = actor.pk, timezone.now(), cleaned
        row.save(update_fields=["lift_asked_by", "lift_asked_at", "lift_reason"])
        detail = {"hold": row.pk}
        audit.record(action="hold.lift_asked", target=_named(row), detail=detail, content={"reason": cleaned})
    return row


def lift(*, actor: User, hold_id: int) -> LegalHold:
    """The second half: by another person, who reviews the record. Raises NotFound, Conflict, PermissionRefused."""
    require(actor, Duty.REVIEW_AUDIT)
    with transaction.atomic():
        row = _open(hold_id)
        if row.lift_asked_by is None:
            raise Conflict("An administrator of people has to ask for this first.", code="not_asked")
        if row.lift_asked_by == actor.pk:
            raise SecondPerson("Another person has to agree.")
        row.lifted_by, row.lifted_at = actor.pk, timezone.now()
        row.save(update_fields=["lifted_by", "lifted_at"])
        detail = {"hold": row.pk, "asked_by": f"user:{row.lift_asked_by}"}
        audit.record(action="hold.lifted", target=_named(row), detail=detail)
    return row


def check_documents(document_ids: Iterable[UUID]) -> None:
    """Raises Conflict when one of them must be kept. In the transaction that would erase it."""
    if held_documents().filter(pk__in=list(document_ids)).exists():
        raise Conflict("This must be kept: it is under legal hold. Nothing was changed.", code="legal_hold")


def check_collection(collection: Collection) -> None:
    """Raises Conflict when nothing may leave the collection."""
    if living().filter(kind=HoldKind.COLLECTION, target=str(collection.pk)).exists():
        raise Conflict("This collection is under legal hold. Nothing was changed.", code="legal_hold")


def check_person(user_id: int) -> None:
    """Raises Conflict when the person's account and conversations must be kept."""
    if user_id in held_people():
        raise Conflict("This must be kept: it is under legal hold. Nothing was changed.", code="legal_hold")


def held_documents() -> QuerySet[Document]:
    """The documents that must be kept, themselves or with their collection."""
    targets = living().values_list("target", flat=True)
    documents = [UUID(target) for target in targets.filter(kind=HoldKind.DOCUMENT)]
    places = [int(target) for target in targets.filter(kind=HoldKind.COLLECTION)]
    return Document.objects.filter(Q(pk__in=documents) | Q(collection__in=places))


def held_people() -> set[int]:
    """The people, by number, whose account and conversations must be kept."""
    return {int(target) for target in living().filter(kind=HoldKind.PERSON).values_list("target", flat=True)}


def _open(hold_id: int) -> LegalHold:
    row = LegalHold.objects.select_for_update().filter(pk=hold_id).first()
    if row is None:
        raise NotFound
    if row.lifted_at is not None:
        raise Conflict("This hold is lifted already.", code="lifted")
    return row


def living() -> QuerySet[LegalHold]:
    """Every hold in force."""
    return LegalHold.objects.filter(lifted_at=None)


def _reason(reason: str, words: str) -> str:
    cleaned = sanitize.title(reason, limit=500)
    if len(cleaned) < LEAST_REASON:
        raise Invalid(words, fields={"reason": [f"Use at least {LEAST_REASON} characters."]})
    return cleaned


def _people_of(rows: Iterable[LegalHold]) -> set[int]:
    acted = {key for row in rows for key in (row.placed_by, row.lift_asked_by, row.lifted_by) if key is not None}
    return acted | {int(target) for target in _targets(rows, HoldKind.PERSON)}


def _targets(rows: Iterable[LegalHold], kind: HoldKind) -> set[str]:
    return {row.target for row in rows if row.kind == kind}


def _by(key: int | None, people: dict[int, str]) -> str:
    return "" if key is None else people.get(key, f"user:{key}")


def check_duty(actor: User) -> None:
    """Raises PermissionRefused unless the person has either duty."""
    if not (has_duty(actor, Duty.MANAGE_PEOPLE) or has_duty(actor, Duty.REVIEW_AUDIT)):
        raise PermissionRefused("Legal holds belong to who manages people or reviews the audit log.")


def _resolved(kind: str, target: str) -> str:
    """The number or id of what is named. Raises NotFound, Invalid."""
    found: object | None
    if kind == HoldKind.COLLECTION:
        found = Collection.objects.filter(slug=target).values_list("pk", flat=True).first()
    elif kind == HoldKind.PERSON:
        found = User.objects.filter(email__iexact=target).values_list("pk", flat=True).first()
    elif kind == HoldKind.DOCUMENT:
        try:
            found = Document.objects.filter(pk=UUID(target)).values_list("pk", flat=True).first()
        except ValueError:
            found = None
    else:
        raise Invalid("Hold a collection, a document or a person.", fields={"kind": ["Not known."]})
    if found is None:
        raise NotFound("There is nothing of that name to keep.", code="unknown_target")
    return str(found)


def _named(row: LegalHold) -> tuple[str, str]:
    return ("user" if row.kind == HoldKind.PERSON else row.kind), row.target
