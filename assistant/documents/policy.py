"""The choke point: every list, count, search, export, page and answer starts at one of these functions.

Knows: (person, grants, teams, role) -> which rows. Fails closed: an unknown or inactive person, or no grant, is
nothing. Two rights, kept apart:

* **reading** comes from grants on scopes alone; it is the only right that search and answers use.
* **managing** (upload, replace, delete, grants, seeing status) comes from curator grants on a collection's own scope
  or on a restricted document's, or from the administrator's duty. A manager may also open what they manage, in the
  library, never in answers. Under separation of duties an administrator still gives grants, on collections alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db.models import F, Model, Q, QuerySet, Value

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, has_duty
from assistant.backends.prepared import Prepared
from assistant.errors import NotFound
from assistant.guardrails import levels

from . import personal
from .models import Access, Chunk, Collection, Document, Grant, Scope

Row = TypeVar("Row", bound=Model)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

if TYPE_CHECKING:
    Person = User | AnonymousUser
else:
    Person = Any


def _grants(user: Person) -> QuerySet[Grant]:
    """The grants that apply to the person now, directly, by team or to everyone."""
    if user.pk is None or not has_duty(user, Duty.ASK):
        return Grant.objects.none()
    return _granted(user.pk)


def _granted(person: int | Value) -> QuerySet[Grant]:
    return Grant.objects.filter(Q(user=person) | Q(team__memberships__user=person) | Q(everyone=True))


def readable_scopes(user: Person) -> QuerySet[Scope]:
    """The partitions a search for this person may touch."""
    return Scope.objects.filter(pk__in=_grants(user).values("scope"))


def readable_partitions(user: Person, collections: Sequence[str] = ()) -> tuple[int, ...]:
    """Their ids in order, of the collections named (none named: all); a slug unknown or foreign contributes nothing."""
    if not has_duty(user, Duty.ASK):
        return ()
    named = {"slugs": list(collections)} if collections else {}
    return tuple(sorted({scope for (scope,) in _PARTITIONS.rows(person=user.pk, **named)}))


def _partitions(person: Value, slugs: Sequence[Value] = ()) -> QuerySet[Grant, tuple[int]]:
    grants = _granted(person)
    if slugs:
        grants = grants.filter(scope__collection__slug__in=slugs)
    return grants.order_by().values_list("scope")


_PARTITIONS = Prepared(_partitions)


def readable_collections(user: Person) -> QuerySet[Collection]:
    """Collections in which the person can read something: what a question may be narrowed to."""
    return Collection.objects.filter(pk__in=readable_scopes(user).values("collection"))


def readable_documents(user: Person) -> QuerySet[Document]:
    return Document.objects.filter(scope__in=_grants(user).values("scope"))


def readable_chunks(user: Person) -> QuerySet[Chunk]:
    """Chunks that may be shown: an unreadable chunk cannot be loaded through this."""
    return Chunk.objects.filter(document__scope__in=_grants(user).values("scope"))


def answerable_chunks(user: Person, day: date) -> QuerySet[Chunk]:
    """Readable chunks that speak for `day`: of a current version, of a document valid on that day."""
    return _speaking(readable_chunks(user), day)


def _speaking(chunks: QuerySet[Chunk], day: date | Value) -> QuerySet[Chunk]:
    return chunks.filter(
        Q(document__valid_from__isnull=True) | Q(document__valid_from__lte=day),
        Q(document__valid_until__isnull=True) | Q(document__valid_until__gte=day),
        version=F("document__current"),
    )


def answerable_rows(user: Person, day: date, chunks: Sequence[int], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """These columns of those among the chunks that are `answerable_chunks`, in no order."""
    if not chunks or not has_duty(user, Duty.ASK):
        return []
    return _ANSWERABLE.rows(*columns, person=user.pk, day=day, chunks=list(chunks))


def _answerable(*columns: str, person: Value, day: Value, chunks: Sequence[Value]) -> QuerySet[Chunk, Any]:
    readable = Chunk.objects.filter(document__scope__in=_granted(person).values("scope"), pk__in=chunks)
    return _speaking(readable, day).order_by().values_list(*columns)


_ANSWERABLE = Prepared(_answerable)


def reads_others(user: Person, uploader: int | None) -> bool:
    """May the person read a document whose current version somebody else than this uploader brought? (None: nobody
    who is still known.)"""
    if not has_duty(user, Duty.ASK):
        return False
    known = {} if uploader is None else {"uploader": uploader}
    return bool(_OTHERS.rows(person=user.pk, **known))


def _others(person: Value, uploader: Value | None = None) -> QuerySet[Document, tuple[UUID]]:
    readable = Document.objects.filter(scope__in=_granted(person).values("scope"))
    return readable.exclude(current__uploaded_by=uploader).order_by().values_list("pk")[:1]


_OTHERS = Prepared(_others)


def suspicious(chunks: QuerySet[Chunk]) -> QuerySet[Chunk]:
    """Those that read like an attempt to instruct the assistant: they are shown with a banner. No matter of access."""
    return chunks.filter(suspicion__gte=levels.THRESHOLD_BANNER)


def managed_collections(user: Person) -> QuerySet[Collection]:
    """Where the person may upload, replace, delete, and change grants."""
    if has_duty(user, Duty.MANAGE_DOCUMENTS):
        return Collection.objects.all()
    if not has_duty(user, Duty.CURATE_GRANTED):
        return Collection.objects.none()
    own = _grants(user).filter(access=Access.CURATOR, scope__key="")
    return Collection.objects.filter(pk__in=own.values("scope__collection"))


def grantable_collections(user: Person) -> QuerySet[Collection]:
    """Collections whose grants the person may see and change."""
    return Collection.objects.all() if has_duty(user, Duty.MANAGE_GRANTS) else managed_collections(user)


def visible_collections(user: Person) -> QuerySet[Collection]:
    """Collections the person manages or grants on, or in which they can read at least one scope."""
    return Collection.objects.filter(
        Q(pk__in=grantable_collections(user)) | Q(pk__in=readable_scopes(user).values("collection"))
    )


def managed_documents(user: Person) -> QuerySet[Document]:
    """In managed collections, or under a curator grant of their own."""
    managed = Q(collection__in=managed_collections(user))
    if has_duty(user, Duty.CURATE_GRANTED):
        managed |= Q(scope__in=_grants(user).filter(access=Access.CURATOR).exclude(scope__key="").values("scope"))
    return Document.objects.filter(managed)


def visible_documents(user: Person) -> QuerySet[Document]:
    """For the library: readable and once read in, or managed in any state."""
    return Document.objects.filter(
        Q(pk__in=readable_documents(user).filter(current__isnull=False).values("pk"))
        | Q(pk__in=managed_documents(user).values("pk"))
    )


def get_visible_collection(user: Person, slug: str) -> Collection:
    return _get(visible_collections(user), slug=slug)


def get_managed_collection(user: Person, slug: str) -> Collection:
    return _get(managed_collections(user), slug=slug)


def get_grantable_collection(user: Person, slug: str) -> Collection:
    return _get(grantable_collections(user), slug=slug)


def get_visible_document(user: Person, document_id: UUID | str) -> Document:
    """To be looked at: its title is the one the person may see."""
    row = _get(visible_documents(user), pk=document_id)
    personal.veil(user, [row])
    return row


def titles(user: Person, document_ids: Iterable[str]) -> dict[str, str]:
    """The titles that the person may see of these documents, by id; what they may not see or is gone has none."""
    found = [UUID(text) for text in set(document_ids) if _UUID.fullmatch(text)]
    rows = list(visible_documents(user).filter(pk__in=found)) if found else []
    personal.veil(user, rows)
    return {str(row.pk): row.title for row in rows}


def get_managed_document(user: Person, document_id: UUID | str) -> Document:
    """The same for those who manage it. To change it, lock it."""
    row = _get(managed_documents(user), pk=document_id)
    personal.veil(user, [row])
    return row


def lock_managed_collection(user: Person, slug: str) -> Collection:
    """The same, locked for the rest of the transaction: one upload or removal at a time."""
    return _get(managed_collections(user).select_for_update(), slug=slug)


def lock_managed_document(user: Person, document_id: UUID | str) -> Document:
    """The same, locked for the rest of the transaction."""
    return _get(managed_documents(user).select_for_update(), pk=document_id)


def _get(queryset: QuerySet[Row], **key: Any) -> Row:
    """The row, or NotFound: the same words for absent and forbidden."""
    try:
        row = queryset.filter(**key).first()
    except (ValidationError, ValueError):  # a malformed id names nothing
        row = None
    if row is None:
        raise NotFound
    return row
