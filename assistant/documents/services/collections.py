"""Collections: making, naming, removing. Knows: rows, rights, record. Does not know: what is in the documents."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.documents import policy
from assistant.documents.models import Collection, Scope
from assistant.errors import Conflict, Invalid
from assistant.guardrails import sanitize, slugs
from assistant.vault import ring

_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


def create_collection(*, actor: User, slug: str = "", name: str = "", description: str = "") -> Collection:
    """A new, empty collection that nobody may read yet; without a slug it gets one made from its name.

    Raises Invalid, Conflict (slug taken), PermissionRefused."""
    require(actor, Duty.MANAGE_DOCUMENTS)
    slug = slug or slugs.short_name(
        name, otherwise="collection", taken=lambda found: Collection.objects.filter(slug=found).exists()
    )
    if slug in slugs.RESERVED:
        message = "This word is the address of a page. Choose another one."
        raise Invalid("The slug cannot be used.", fields={"slug": [message]})
    if not _SLUG.fullmatch(slug) or len(slug) > 60:
        message = "Use 1 to 60 small letters, digits and single hyphens between them."
        raise Invalid("The slug cannot be used.", fields={"slug": [message]})
    collection = Collection(slug=slug, created_by=actor)
    _describe(collection, name or slug, description)
    try:
        with transaction.atomic():
            collection.save(force_insert=True)
            Scope.objects.create(collection=collection, key="")
            audit.record(action="collection.created", target=target(collection), detail={"slug": slug})
    except IntegrityError as error:
        raise Conflict(f"There is already a collection “{slug}”.", fields={"slug": ["Taken."]}) from error
    return collection


def update_collection(
    *, actor: User, collection: Collection, name: str | None = None, description: str | None = None
) -> Collection:
    """Change what people see; the slug stays, since addresses and grants elsewhere name it."""
    with transaction.atomic():
        row = policy.get_managed_collection(actor, collection.slug)
        _describe(row, row.name if name is None else name, row.description if description is None else description)
        row.save(update_fields=["name", "description"])
        changed = [field for field, value in (("name", name), ("description", description)) if value is not None]
        audit.record(action="collection.changed", target=target(row), detail={"fields": changed})
    return row


def delete_collection(*, actor: User, collection: Collection) -> None:
    """Remove an empty collection with its grants. Raises Conflict while it holds documents."""
    require(actor, Duty.MANAGE_DOCUMENTS)
    with transaction.atomic():
        row = policy.lock_managed_collection(actor, collection.slug)
        if row.documents.exists():
            raise Conflict("Delete or move the documents of this collection first.", code="collection_not_empty")
        where = target(row)
        ring.destroy("collection", [row.pk])
        row.delete()
        audit.record(action="collection.deleted", target=where, detail={"slug": collection.slug})


def target(collection: Collection) -> tuple[str, str]:
    """How the audit log names a collection."""
    return "collection", str(collection.pk)


def _describe(collection: Collection, name: str, description: str) -> None:
    collection.name = sanitize.title(name)
    if not 1 <= len(collection.name) <= 120:
        raise Invalid("The name cannot be used.", fields={"name": ["Use 1 to 120 characters."]})
    collection.description = description.replace("\x00", "").strip()
    if len(collection.description) > 2000:
        raise Invalid("The description is too long.", fields={"description": ["Use at most 2000 characters."]})
