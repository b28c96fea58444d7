"""What happens to a document after its upload: retry, cancel, release, change, move, delete. Knows: states and rights.
Does not know: how files are read or searched."""

from __future__ import annotations

from datetime import date
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.documents import erasure, holds, index_events, policy, storage
from assistant.documents.models import Chunk, Collection, Document, DocumentVersion, Page, Status
from assistant.errors import Conflict, Invalid
from assistant.guardrails import sanitize
from assistant.vault import ring

from .access import document_target, drop_empty_scopes, move_to_scope, own_scope, principals, restricted_scope
from .asking import search_again
from .uploads import requeue, same_content

_WORKING = (Status.QUEUED, Status.PROCESSING)
_PROOF_SENTENCES = 3
UNCHANGED: Final = object()  # "leave this field as it is", where None means "no date"


def retry(*, actor: User, document: Document) -> DocumentVersion:
    """Read the newest version again. Raises Conflict unless it failed."""
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        version = row.latest
        if version.status != Status.FAILED:
            raise Conflict("Only a document that could not be read can be tried again.", code="not_failed")
        requeue(version)
        audit.record(action="document.retried", target=document_target(row.pk), detail={"version": version.number})
    version.refresh_from_db()
    return version


def cancel(*, actor: User, document: Document) -> DocumentVersion:
    """Stop reading the newest version. The worker notices by its fence. Raises Conflict when nothing is going on."""
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        version = row.latest
        stopped = DocumentVersion.objects.filter(pk=version.pk, status__in=_WORKING).update(
            status=Status.FAILED,
            error_code="cancelled",
            error="Reading was stopped. Try again or delete the document.",
            fence=F("fence") + 1,
            lease_until=None,
            finished_at=timezone.now(),
        )
        if not stopped:
            raise Conflict("This document is not being read now.", code="not_processing")
        audit.record(action="document.cancelled", target=document_target(row.pk), detail={"version": version.number})
    version.refresh_from_db()
    return version


def release(*, actor: User, document: Document) -> DocumentVersion:
    """A curator has looked at the quarantined text and lets it answer. Raises Conflict unless it is quarantined."""
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        version = row.latest
        if version.status != Status.QUARANTINED:
            raise Conflict("Only a document in quarantine can be released.", code="not_quarantined")
        DocumentVersion.objects.filter(pk=version.pk).update(released=True)
        requeue(version)
        audit.record(action="document.released", target=document_target(row.pk), detail={"version": version.number})
    version.refresh_from_db()
    return version


def update_document(
    *,
    actor: User,
    document: Document,
    title: str | None = None,
    valid_from: date | object | None = UNCHANGED,
    valid_until: date | object | None = UNCHANGED,
) -> Document:
    """Change the title (searched, so replicas are told) or the days for which the document speaks."""
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        changed = []
        if title is not None:
            row.title = sanitize.title(title)
            if not row.title:
                raise Invalid("The title cannot be used.", fields={"title": ["Use at least one visible character."]})
            changed.append("title")
        for field, value in (("valid_from", valid_from), ("valid_until", valid_until)):
            if value is not UNCHANGED:
                setattr(row, field, value)
                changed.append(field)
        if row.valid_from and row.valid_until and row.valid_until < row.valid_from:
            message = "The last day lies before the first."
            raise Conflict(message, code="validity_order", fields={"valid_until": [message]})
        row.save(update_fields=[*changed, "updated_at"])
        if title is not None and row.current_id:
            index_events.append([row.pk])
        audit.record(action="document.changed", target=document_target(row.pk), detail={"fields": changed})
    return row


def move(*, actor: User, document: Document, collection: Collection) -> Document:
    """Into another collection the actor manages; a restriction goes along. Raises Conflict for a duplicate there."""
    with transaction.atomic():
        target = policy.lock_managed_collection(actor, collection.slug)
        policy.get_managed_collection(actor, document.collection.slug)
        row = policy.lock_managed_document(actor, document.pk)
        if row.collection_id == target.pk:
            return row
        Chunk.objects.filter(document=row, veiled=True).update(veiled=False)  # the other policy concerns other classes
        if same_content(target, row.latest.sha256):
            raise Conflict("That collection already holds this file.", code="duplicate")
        left = row.collection_id
        holds.check_collection(row.collection)
        ring.rehang("document", row.pk, ("collection", str(target.pk)))
        scope = restricted_scope(target, principals(row.scope), actor) if row.restricted else own_scope(target)
        move_to_scope(row, scope)
        detail = {"from": left, "to": target.pk, "scope": scope.pk}
        audit.record(action="document.moved", target=document_target(row.pk), detail=detail)
    row.refresh_from_db()
    return row


def delete(*, actor: User, document: Document) -> dict[str, int]:
    """Erase the document: rows, originals, pictures, what others keep of it; the receipt counts each, and its own
    sentences are searched once more ("sentences_asked", "sentences_found"; absent while no worker lives).

    Not found by the next search on any host. Raises NotFound, Conflict (legal hold),
    AuditUnavailable (before anything is touched).
    """
    row = policy.get_managed_document(actor, document.pk)
    holds.check_documents([row.pk])
    audit.intent(action="document.deleted", target=document_target(row.pk))
    with transaction.atomic():
        row = policy.lock_managed_document(actor, document.pk)
        holds.check_documents([row.pk])
        receipt = {
            "versions": row.versions.count(),
            "pages": Page.objects.filter(version__document=row).count(),
            "chunks": Chunk.objects.filter(document=row).count(),
            **erasure.erase_elsewhere([row.pk]),
        }
        key, scope_id = row.pk, row.scope_id
        sentences = [text[:300] for text in row.chunks.values_list("text", flat=True)[:_PROOF_SENTENCES]]
        row.delete()
        receipt["keys"] = ring.destroy("document", [key])
        drop_empty_scopes([scope_id])
        index_events.append([key])
        audit.record(action="document.deleted", target=document_target(key), detail=dict(receipt))
    receipt["files"], receipt["pictures"] = storage.erase_document(key)
    receipt["snapshot_files"] = storage.erase_index_snapshot()
    erasure.clear_write_ahead_log()
    receipt |= search_again(document_id=key, sentences=sentences)
    audit.record(action="document.erased", target=document_target(key), detail=dict(receipt))
    return receipt
