"""What is put right in the background: personal data, and vectors of another embedding model. Ingestion workers only.

Knows: which versions are not counted, which passages of guarded collections were embedded with their values, and which
were embedded by another model than this process has. Does not know: who asked for what. A round does a bounded piece of
work; the next one goes on.
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
RENEWED_AT_ONCE = 20  # documents


def count() -> int:
    """Count personal data in versions that answer and are not counted yet; how many were."""
    waiting = DocumentVersion.objects.filter(current_of__isnull=False, personal_data__isnull=True)
    keys = list(waiting.order_by("pk").values_list("pk", flat=True)[:COUNTED_AT_ONCE])
    for key in keys:
        texts = Page.objects.filter(version=key).values_list("text", flat=True)
        DocumentVersion.objects.filter(pk=key, personal_data__isnull=True).update(personal_data=personal.count(texts))
    return len(keys)


def renew() -> int:
    """Embed anew what another model embedded (the product was upgraded); how many passages. Until then their words
    alone find them. Documents with one kind of vectors only: a document changes over in one transaction."""
    waiting = Document.objects.filter(current__isnull=False)
    waiting = waiting.exclude(current__embedding_model=engines.embedder().model_id)
    return sum(_renewed(key) for key in waiting.order_by("pk").values_list("pk", flat=True)[:RENEWED_AT_ONCE])


def _renewed(document_id: UUID) -> int:
    """The vectors are made before the document is locked, and dropped if it got another version meanwhile. In a guarded
    collection they hold the values, so they count as not veiled: no index takes them before `veil` has been there."""
    row = Document.objects.filter(pk=document_id).first()
    chunks = list(Chunk.objects.filter(document=document_id))
    if row is None or row.current_id is None or any(chunk.version_id != row.current_id for chunk in chunks):
        return 0
    embedder = engines.embedder()
    texts = [passage_text(row.title, chunk.headings, chunk.text) for chunk in chunks]
    vectors = embedder.embed(texts) if texts else ()
    with transaction.atomic():
        if not Document.objects.select_for_update().filter(pk=document_id, current=row.current_id).exists():
            return 0  # deleted or replaced
        for chunk, vector in zip(chunks, vectors, strict=True):
            chunk.embedding, chunk.veiled = vector.astype("<f2").tobytes(), False
            chunk.save(update_fields=["embedding", "veiled"])
        DocumentVersion.objects.filter(pk=row.current_id).update(embedding_model=embedder.model_id)
        index_events.append([document_id])
    return len(chunks)


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
