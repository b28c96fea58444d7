"""What is put right in the background about personal data. Ingestion workers only.

Knows: which versions are not counted and which passages of guarded collections were embedded with their values. Does
not know: who asked for what. A round does a bounded piece of work; the next one goes on.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from assistant import engines
from retrieval.chunking import passage_text

from . import index_events, personal
from .models import Chunk, Document, DocumentVersion, Page

COUNTED_AT_ONCE = 200  # versions
VEILED_AT_ONCE = 100  # documents


def count() -> int:
    """Count personal data in versions that answer and are not counted yet; how many were."""
    waiting = DocumentVersion.objects.filter(current_of__isnull=False, personal_data__isnull=True)
    keys = list(waiting.order_by("pk").values_list("pk", flat=True)[:COUNTED_AT_ONCE])
    for key in keys:
        texts = Page.objects.filter(version=key).values_list("text", flat=True)
        DocumentVersion.objects.filter(pk=key, personal_data__isnull=True).update(personal_data=personal.count(texts))
    return len(keys)


def veil() -> int:
    """Embed passages of guarded collections without their values; how many. Until then their words alone find them."""
    waiting = Chunk.objects.filter(document__collection__in=personal.guarded(), veiled=False)
    documents = list(waiting.order_by().values_list("document", flat=True).distinct()[:VEILED_AT_ONCE])
    return sum(_veiled(document) for document in documents)


def _veiled(document_id: UUID) -> int:
    """One document, in one transaction, so that replicas see all of it or nothing."""
    with transaction.atomic():
        row = Document.objects.select_for_update().filter(pk=document_id).first()
        rule = personal.embedding_rule(row.collection_id) if row else None
        if row is None or rule is None:  # deleted, or its policy lifted, meanwhile
            return 0
        chunks = list(Chunk.objects.filter(document=row, veiled=False).select_related("document", "version"))
        embedder = engines.embedder()
        chunks = [chunk for chunk in chunks if chunk.version.embedding_model == embedder.model_id]
        shown = personal.passages(chunks, lambda _: rule)
        changed = []
        for chunk in chunks:
            passage = shown[chunk.pk]
            words = passage_text(passage.title, passage.headings, passage.shown.text)
            if words != passage_text(row.title, chunk.headings, chunk.text):
                changed.append((chunk, words))
        if changed:
            vectors = embedder.embed([words for _, words in changed])
            for (chunk, _), vector in zip(changed, vectors, strict=True):
                chunk.embedding, chunk.veiled = vector.astype("<f2").tobytes(), True
                chunk.save(update_fields=["embedding", "veiled"])
        Chunk.objects.filter(pk__in=[chunk.pk for chunk in chunks]).update(veiled=True)
        if changed:
            index_events.append([row.pk])
        return len(changed)
