"""Reading one uploaded file into pages, passages and embeddings. Workers only.

Knows: the stages, their typed endings, and the one transaction that makes a version answer. Does not know: how the job
was queued (`tasks`), formats, models or rights.

A job is a leased row. Whoever claims it counts an attempt, so that a file that kills its reader is tried three times
and no more. Results are written under the fence, all at once: a version answers completely or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from assistant import engines, leases
from assistant.audit import services as audit
from assistant.guardrails import injection, sanitize
from retrieval.chunking import chunk_document, passage_text
from retrieval.errors import EmbedderError, ParseError
from retrieval.parsing import Limits, parse_file
from retrieval.schema import Chunk as Passage
from retrieval.schema import ParsedDocument

from . import index_events, personal, storage
from .models import Chunk, Document, DocumentVersion, Page, Status
from .pulse import LEASE_SECONDS, Pulse
from .services.access import document_target
from .services.uploads import title_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

STAGES = ("parsing", "chunking", "screening", "embedding", "indexing")
MAX_ATTEMPTS = 3
_BATCH = 32  # passages judged and embedded between two looks at the lease
_ROWS = 500
_HIDDEN_CHARS = 2_000  # of each hidden text, for the curator

_PLAIN_SENTENCES = {
    "unsupported_format": "This kind of file cannot be read.",
    "encrypted_document": "The document is protected by a password.",
    "corrupt_document": "The file is damaged.",
    "empty_document": "No text was found in the document.",
    "limit_exceeded": "The document is too large or too slow to read.",
    "parser_crashed": "The document could not be read.",
}


@dataclass(frozen=True, slots=True)
class Ready:
    """The version answers now."""

    pages: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Passages that try to instruct the assistant: a curator must look first. `score` is the highest, 0..1."""

    pages: int
    score: float
    passages: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The file cannot be read; `sentence` says why and what to do."""

    code: str
    sentence: str


Outcome = Ready | Quarantined | Failed


@dataclass(frozen=True, slots=True)
class _Read:
    """Everything known about a version before it is written."""

    document: ParsedDocument
    title: str
    passages: Sequence[Passage]
    suspicion: Sequence[float]
    vectors: Sequence[bytes]
    model: str
    veiled: bool  # vectors were made without personal data
    personal_data: dict[str, int]


def ingest(version_id: int) -> Outcome | None:
    """Claim the job and bring it to an end. None: it is not there, not waiting, or somebody else's now.

    A surprise is raised, the lease given back; the sweeper sends the job again while attempts are left.
    """
    waiting = DocumentVersion.objects.filter(status__in=[Status.QUEUED, Status.PROCESSING])
    begun = {"status": Status.PROCESSING, "stage": STAGES[0], "progress": 0.0, "pages_done": 0, "pages_total": None}
    version = leases.claim(waiting, version_id, seconds=LEASE_SECONDS, **begun)
    if version is None:
        return None
    try:
        if version.attempt > MAX_ATTEMPTS:
            return _fail(version, Failed("attempts_exhausted", f"Reading failed {MAX_ATTEMPTS} times. {_RETRY}"))
        return _run(version)
    except leases.LeaseLost:
        logger.info("job %s is no longer ours", version_id)
        return None
    except BaseException:
        _give_back(version)
        raise


def _run(version: DocumentVersion) -> Outcome:
    with Pulse(version) as pulse:
        try:
            read = _read(version, pulse)
        except ParseError as error:
            if error.retryable and version.attempt < MAX_ATTEMPTS:
                raise
            return _fail(version, Failed(error.code, _sentence(error)))
        except EmbedderError as error:
            return _fail(version, Failed(error.code, f"The embedding model cannot be used. {error.hint}".strip()))
        except FileNotFoundError:
            return _fail(version, Failed("file_missing", "The uploaded file is no longer there. Upload it again."))
        pulse.stage("indexing")
        return _commit(version, read)


def _read(version: DocumentVersion, pulse: Pulse) -> _Read:
    pulse.stage("parsing")
    with storage.readable(version.stored, version.file_key) as path:
        parsed = parse_file(path, limits=_limits(), filename=version.filename, on_progress=pulse.pages)
    title = _title(version, parsed)
    pulse.stage("chunking")
    embedder = engines.embedder()
    named = ParsedDocument(parsed.media_type, title, parsed.pages, parsed.warnings, parsed.hidden_text)
    passages = chunk_document(named, count_tokens=embedder.count_tokens)
    rule = personal.embedding_rule(version.document.collection_id)
    pages = {page.number: page.text for page in parsed.pages}
    suspicion: list[float] = []
    waiting: list[Future[NDArray[np.float32]]] = []
    # Judging is Python on one core; the vectors of what is judged already are made beside it, in batch after batch.
    beside = ThreadPoolExecutor(1, "embedding")
    try:
        pulse.stage("screening")
        for start in range(0, len(passages), _BATCH):
            pulse.part(start, len(passages))
            batch = passages[start : start + _BATCH]
            suspicion += injection.scores([passage.text for passage in batch], embed=embedder.embed).tolist()
            if version.released or max(suspicion) < injection.THRESHOLD_QUARANTINE:
                words = [_words(title, passage, pages, rule) for passage in batch]
                waiting.append(beside.submit(embedder.embed, words))
            else:
                waiting.clear()  # a curator must look first: nothing of it will be searchable
        counts = personal.count(pages.values())
        pulse.stage("embedding")
        vectors: list[bytes] = []
        for made in waiting:
            vectors += [row.astype("<f2").tobytes() for row in made.result()]
            pulse.part(len(vectors), len(passages))
    finally:
        beside.shutdown(cancel_futures=True)
    return _Read(parsed, title, passages, suspicion, vectors, embedder.model_id, rule is not None, counts)


def _words(title: str, passage: Passage, pages: dict[int, str], rule: personal.Rule | None) -> str:
    """What a passage is embedded as: in a guarded collection without its values."""
    if rule is None:
        return passage_text(title, passage.headings, passage.text)
    found = personal.within(passage.text, pages.get(passage.page, ""), passage.char_start, passage.char_end, rule)
    shown = personal.treated(passage.text, rule, found).text
    return passage_text(personal.label(title, rule), [personal.label(each, rule) for each in passage.headings], shown)


def _commit(version: DocumentVersion, read: _Read) -> Outcome:
    """Write pages, and passages unless quarantined; switch the document to this version; tell the replicas."""
    highest = max(read.suspicion, default=0.0)
    quarantined = highest >= injection.THRESHOLD_QUARANTINE and not version.released
    with transaction.atomic():
        # The document first, as every service locks it, then the version under its fence.
        document = Document.objects.select_for_update().filter(pk=version.document_id).first()
        row = leases.hold(version)
        if document is None:
            raise leases.LeaseLost(str(version.pk))
        _write_pages(row, read.document)
        row.media_type = read.document.media_type
        row.warnings = list(read.document.warnings)
        row.hidden_text = [
            {"page": hidden.page, "reason": hidden.reason, "text": hidden.text[:_HIDDEN_CHARS]}
            for hidden in read.document.hidden_text
        ]
        row.pages_done = row.pages_total = len(read.document.pages)
        row.progress, row.stage, row.error, row.error_code = 1.0, "", "", ""
        row.finished_at, row.lease_until = timezone.now(), None
        outcome: Outcome
        if quarantined:
            flagged = sum(score >= injection.THRESHOLD_QUARANTINE for score in read.suspicion)
            outcome = Quarantined(len(read.document.pages), round(highest, 3), flagged)
            row.status, row.error_code = Status.QUARANTINED, "suspicious_content"
            row.error = "Some passages try to instruct the assistant. Review the document, then release or delete it."
        else:
            _write_chunks(row, document, read)
            document.current = row
            if document.title == version.document.title:  # nobody renamed it meanwhile
                document.title = read.title
            document.save(update_fields=["current", "title", "updated_at"])
            index_events.append([document.pk])
            row.status, row.embedding_model, row.personal_data = Status.READY, read.model, read.personal_data
            outcome = Ready(len(read.document.pages), len(read.passages))
        row.save()
        _record(row, outcome)
    return outcome


def _write_pages(version: DocumentVersion, parsed: ParsedDocument) -> None:
    version.pages.all().delete()  # of an earlier reading of the same file
    Page.objects.bulk_create(
        (
            Page(
                version=version,
                number=page.number,
                label=(page.label or "")[:200],
                text=page.text,
                ocr=page.ocr,
                layout=[[t.char_start, t.char_end, t.x0, t.y0, t.x1, t.y1] for t in page.layout],
            )
            for page in parsed.pages
        ),
        batch_size=_ROWS,
    )


def _write_chunks(version: DocumentVersion, document: Document, read: _Read) -> None:
    Chunk.objects.filter(document=document).delete()
    Chunk.objects.bulk_create(
        (
            Chunk(
                document=document,
                version=version,
                ordinal=passage.ordinal,
                page=passage.page,
                headings=list(passage.headings),
                char_start=passage.char_start,
                char_end=passage.char_end,
                text=passage.text,
                embedding=vector,
                suspicion=round(score, 4),
                veiled=read.veiled,
            )
            for passage, vector, score in zip(read.passages, read.vectors, read.suspicion, strict=True)
        ),
        batch_size=_ROWS,
    )


def _fail(version: DocumentVersion, outcome: Failed) -> Failed:
    with transaction.atomic():
        row = leases.hold(version)
        row.status, row.error_code, row.error = Status.FAILED, outcome.code, outcome.sentence
        row.stage, row.finished_at, row.lease_until = "", timezone.now(), None
        row.save()
        _record(row, outcome)
    return outcome


def _record(version: DocumentVersion, outcome: Outcome) -> None:
    """One audit event for each ending, in its transaction."""
    facts = {name: value for name, value in asdict(outcome).items() if name != "sentence"}
    detail = {"version": version.number, "attempt": version.attempt, **facts}
    kind = type(outcome).__name__.lower()
    audit.record(
        action=f"document.{kind}",
        outcome="failed" if isinstance(outcome, Failed) else "success",
        target=document_target(version.document_id),
        detail=detail,
    )


def _give_back(version: DocumentVersion) -> None:
    """After a surprise, let the next worker have the job without waiting for the lease to run out."""
    mine = DocumentVersion.objects.filter(pk=version.pk, fence=version.fence, status=Status.PROCESSING)
    mine.update(lease_until=None, fence=F("fence") + 1)


def _title(version: DocumentVersion, parsed: ParsedDocument) -> str:
    """The person's own title; without one the document's, if it says anything; else the file's name."""
    given = str(version.document.title)
    first = version.document.versions.order_by("number").first()
    if first is not None and given != title_from(first.filename):
        return given
    found = sanitize.title(parsed.title or "")
    return found if len(found) >= 3 else given


def _sentence(error: ParseError) -> str:
    """For people: what is wrong and what to do. The technical message goes to the log."""
    logger.info("cannot read: %s: %s", error.code, error.message)
    return f"{_PLAIN_SENTENCES.get(error.code, 'The document could not be read.')} {error.hint}".strip()


def _limits() -> Limits:
    return Limits(file_bytes=settings.MAX_UPLOAD_BYTES)


_RETRY = "Try again; if it keeps failing, save the document in another format."
