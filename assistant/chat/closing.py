"""How an answer ends: row, citations and audit outcome in one transaction, whatever the outcome.

Knows: the shape of a result and the one place that writes it. Does not know how the result came to be, nor Redis.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from assistant.audit import keys
from assistant.audit import services as audit
from assistant.documents import policy
from assistant.documents.models import Chunk, Document

from .models import Answer, AnswerStatus, Citation, Outcome

_ACTIONS = {
    Outcome.ANSWERED: ("answer.shown", "success"),
    Outcome.NOT_FOUND: ("answer.shown", "success"),
    Outcome.REFUSED: ("answer.refused", "refused"),
    Outcome.CANCELLED: ("answer.cancelled", "success"),
    Outcome.FAILED: ("answer.failed", "failed"),
}


@dataclass(frozen=True, slots=True)
class Quote:
    """The words a marker stands on; offsets count characters of the page's text, end exclusive."""

    marker: int
    document: UUID
    version: int  # primary key of the DocumentVersion
    chunk: int
    title: str
    collection: str
    page: int
    text: str
    char_start: int
    char_end: int
    verified: bool
    support: float


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a question. `rests_on` are the documents whose words may be in the text; `detail` is for the
    record: ids, counts and scores, never texts."""

    outcome: Outcome
    reason: str = ""
    text: str = ""
    thinking: str = ""
    sentences: tuple[tuple[str, tuple[int, ...], bool, int], ...] = ()
    quotes: tuple[Quote, ...] = ()
    rests_on: frozenset[UUID] = frozenset()
    engine: str = ""
    model: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, int] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


def close(row: Answer, result: Result) -> None:
    """Write the end of `row`, which the caller holds locked in the current transaction.

    The documents the text rests on are locked and looked at once more through the asker's rights of this moment: when
    one was deleted or taken away since the search, nothing of the text is stored and the answer has failed.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("close() needs a transaction")
    if row.status == AnswerStatus.DONE:
        raise ValueError(f"answer {row.pk} is closed already")
    if not _still_readable(row, result.rests_on):
        result = Result(
            Outcome.FAILED,
            "sources_changed",
            engine=result.engine,
            model=result.model,
            timings=result.timings,
            detail=result.detail,
        )
    row.status = AnswerStatus.DONE
    row.outcome = result.outcome
    row.reason = result.reason
    row.words_of = result.rests_on  # sealed under their keys too
    row.text = result.text
    row.thinking = result.thinking
    row.sentences = [list(sentence) for sentence in result.sentences]
    row.engine = result.engine
    row.model = result.model
    salt = keys.new_salt()  # lies with the text and goes with it: the commitment alone then tells nothing
    row.text_salt = salt
    row.evidence = {**result.evidence, "rests_on": len(result.rests_on)}
    row.timings = result.timings
    row.finished_at = timezone.now()
    row.lease_until = None
    row.save()
    row.rests_on.set(Document.objects.filter(pk__in=result.rests_on))
    chunks = Chunk.objects.filter(pk__in={quote.chunk for quote in result.quotes})
    Citation.objects.bulk_create(_citations(row, result.quotes, set(chunks.values_list("pk", flat=True))))
    action, outcome = _ACTIONS[Outcome(result.outcome)]
    audit.record(
        action=action,
        outcome=outcome,
        target=("answer", str(row.pk)),
        detail={
            "intent": row.intent_seq,
            "outcome": row.outcome,
            "reason": row.reason,
            "engine": row.engine,
            "model": row.model,
            "timings": row.timings,
            "text": keys.commit({"text": row.text}, salt),
            "cited": [
                {"document": str(quote.document), "chunk": quote.chunk, "page": quote.page, "verified": quote.verified}
                for quote in result.quotes
            ],
            **result.detail,
        },
    )


def _still_readable(row: Answer, documents: Iterable[UUID]) -> bool:
    wanted = set(documents)
    if not wanted:
        return True
    # Locked so that a deletion either sees this answer (and withholds it) or is seen here.
    there = set(Document.objects.select_for_update().filter(pk__in=wanted).values_list("pk", flat=True))
    readable = policy.readable_documents(row.owner).filter(pk__in=wanted, current__isnull=False)
    return there == wanted and readable.count() == len(wanted)


def _citations(row: Answer, quotes: Iterable[Quote], chunks: Container[int]) -> list[Citation]:
    """`chunks` are those still there, of documents that are locked: a new version may have come since the search."""
    counts: dict[int, int] = {}
    rows = []
    for quote in quotes:
        ordinal = counts.get(quote.marker, 0)
        counts[quote.marker] = ordinal + 1
        rows.append(
            Citation(
                answer=row,
                marker=quote.marker,
                ordinal=ordinal,
                document_id=quote.document,
                version_id=quote.version,
                chunk_id=quote.chunk if quote.chunk in chunks else None,
                title=quote.title,
                page=quote.page,
                quote=quote.text,
                char_start=quote.char_start,
                char_end=quote.char_end,
                verified=quote.verified,
                support=quote.support,
            )
        )
    return rows
