"""The choke point: every list, count, search, export, page and answer starts at one of these functions.

Knows: (person, grants, teams, role) -> which rows. Fails closed: an unknown or inactive person, or no grant, is
nothing. Two rights, kept apart:

* **reading** comes from grants on scopes alone; it is the only right that search and answers use.
* **managing** (upload, replace, delete, grants, seeing status) comes from curator grants on a collection's own scope
  or from the administrator's duty. A manager may also open what they manage, in the library, never in answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, has_duty
from assistant.errors import NotFound

from .models import Access, Chunk, Collection, Document, Grant, Scope

if TYPE_CHECKING:
    Person = User | AnonymousUser
else:
    Person = Any


def _grants(user: Person) -> QuerySet[Grant]:
    """The grants that apply to the person now, directly, by team or to everyone."""
    if not has_duty(user, Duty.ASK):
        return Grant.objects.none()
    return Grant.objects.filter(Q(user=user.pk) | Q(team__memberships__user=user.pk) | Q(everyone=True))


def readable_scopes(user: Person) -> QuerySet[Scope]:
    """The partitions a search for this person may touch."""
    return Scope.objects.filter(pk__in=_grants(user).values("scope"))


def readable_documents(user: Person) -> QuerySet[Document]:
    return Document.objects.filter(scope__in=readable_scopes(user))


def readable_chunks(user: Person) -> QuerySet[Chunk]:
    """Chunks that may be shown: an unreadable chunk cannot be loaded through this."""
    return Chunk.objects.filter(document__scope__in=readable_scopes(user))


def managed_collections(user: Person) -> QuerySet[Collection]:
    """Where the person may upload, replace, delete, and change grants."""
    if has_duty(user, Duty.MANAGE_DOCUMENTS):
        return Collection.objects.all()
    if not has_duty(user, Duty.CURATE_GRANTED):
        return Collection.objects.none()
    own = _grants(user).filter(access=Access.CURATOR, scope__key="")
    return Collection.objects.filter(pk__in=own.values("scope__collection"))


def visible_collections(user: Person) -> QuerySet[Collection]:
    """Collections the person manages, or in which they can read at least one scope."""
    return Collection.objects.filter(
        Q(pk__in=managed_collections(user)) | Q(pk__in=readable_scopes(user).values("collection"))
    )


def managed_documents(user: Person) -> QuerySet[Document]:
    return Document.objects.filter(collection__in=managed_collections(user))


def visible_documents(user: Person) -> QuerySet[Document]:
    """For the library: readable and ready, or managed in any state."""
    return Document.objects.filter(
        Q(pk__in=readable_documents(user).filter(current__isnull=False).values("pk"))
        | Q(collection__in=managed_collections(user))
    )


def get_visible_collection(user: Person, slug: str) -> Collection:
    return _get(visible_collections(user), slug=slug)


def get_managed_collection(user: Person, slug: str) -> Collection:
    return _get(managed_collections(user), slug=slug)


def get_visible_document(user: Person, document_id: UUID | str) -> Document:
    return _get(visible_documents(user), pk=document_id)


def get_managed_document(user: Person, document_id: UUID | str) -> Document:
    return _get(managed_documents(user), pk=document_id)


def _get(queryset: QuerySet[Any], **key: Any) -> Any:
    """The row, or NotFound: the same words for absent and forbidden."""
    try:
        row = queryset.filter(**key).first()
    except (ValidationError, ValueError):  # a malformed id names nothing
        row = None
    if row is None:
        raise NotFound
    return row
