"""A restored backup forgets what was erased after it was made. Knows: the marks that destroyed keys leave. Does not
know: how the archive was restored.

What those keys sealed cannot be read any more; here the rows that are left around it go as well, each on record.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.documents import erasure, index_events, storage
from assistant.documents.models import Document
from assistant.documents.services.access import document_target, drop_empty_scopes
from assistant.vault import ring

from . import persons, services
from .models import Conversation


def forget_what_was_erased() -> dict[str, int]:
    """Erase the documents, conversations and people whose key is marked as destroyed; how many of each."""
    receipt = {"documents": 0, "conversations": 0, "people": 0}
    for owner in ring.destroyed("document"):
        receipt["documents"] += _forget_document(UUID(owner))
    keys = [UUID(owner) for owner in ring.destroyed("conversation")]
    for start in range(0, len(keys), 500):
        receipt["conversations"] += services.erase(Conversation.objects.filter(pk__in=keys[start : start + 500]))
    for owner in ring.destroyed("person"):
        for user in User.objects.filter(pk=owner):
            persons.erase_person(actor=None, user=user)
            receipt["people"] += 1
    erasure.clear_write_ahead_log()
    return receipt


def _forget_document(key: UUID) -> int:
    with transaction.atomic():
        row = Document.objects.select_for_update().defer("title", "source").filter(pk=key).first()
        if row is None:
            return 0
        counts = erasure.erase_elsewhere([key])
        scope = row.scope_id
        row.delete()
        drop_empty_scopes([scope])
        index_events.append([key])
        audit.record(action="document.erased", target=document_target(key), detail={"restored": True, **counts})
    storage.erase_document(key)
    return 1
