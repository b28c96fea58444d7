"""Question files: made from a collection's documents, or from conversations where an administrator allowed it.

A file has the access of what it was made from: only who manages the collection makes it, sees it or takes it out, and
each time only documents they manage then count. Its items are sealed under their documents' keys and go with them.
Documents are on one side of the split, with every copy of them. What is taken out lies readable in a folder, for
training: that is recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from assistant import observability
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.chat.models import Answer, Outcome
from assistant.documents import personal, policy
from assistant.documents.models import Chunk, Document
from assistant.errors import Conflict, NotFound
from assistant.guardrails import injection
from retrieval.text import normalize

from . import asking, services
from .models import QuestionFile, QuestionItem, Split

PER_DOCUMENT = 40
HELD_OUT = 0.2  # share of the documents to judge by
_MARKERS = str.maketrans("", "", "\0")


def make(*, actor: User, collection: str, seed: int = 1) -> QuestionFile:
    """From every document of the collection that the actor manages and that answers.

    Raises NotFound, PermissionRefused, Conflict (no question could be made)."""
    require(actor, Duty.MANAGE_MODELS)
    row = policy.get_managed_collection(actor, collection)
    documents = policy.managed_documents(actor).filter(collection=row, current__isnull=False).select_related("current")
    with transaction.atomic():
        file = QuestionFile.objects.create(collection=row, seed=seed, by=observability.current().actor)
        count = _fill(file, documents.order_by("pk"))
        _kept(file, count, {"collection": row.slug})
    return file


def make_from_conversations(*, actor: User, seed: int = 1) -> QuestionFile:
    """From answers that their askers found good. Raises Conflict (not allowed, or none), PermissionRefused."""
    require(actor, Duty.MANAGE_MODELS)
    if not services.policy().conversations:
        raise Conflict(
            "Conversations are not used: an administrator has to allow it first, on the page “Quality”.",
            code="conversations_not_allowed",
        )
    good = Answer.objects.filter(outcome=Outcome.ANSWERED, feedback__good=True, withheld_at=None)
    with transaction.atomic():
        file = QuestionFile.objects.create(seed=seed, by=observability.current().actor)
        count = 0
        for answer in good.prefetch_related("rests_on", "citations").order_by("created_at"):
            count += _remember(file, answer)
        _kept(file, count, {"collection": ""})
    return file


def files(actor: User) -> list[QuestionFile]:
    """Those the actor may use, newest first. Raises PermissionRefused."""
    require(actor, Duty.MANAGE_MODELS)
    managed = policy.managed_collections(actor)
    rows = QuestionFile.objects.select_related("collection").order_by("-at")
    return [row for row in rows if row.collection is None or row.collection in managed]


def get(*, actor: User, file_id: str | UUID) -> QuestionFile:
    """Raises NotFound, PermissionRefused."""
    for row in files(actor):
        if str(row.pk) == str(file_id):
            return row
    raise NotFound


def remove(*, actor: User, file_id: str | UUID) -> None:
    file = get(actor=actor, file_id=file_id)
    with transaction.atomic():
        audit.record(action="questions.removed", target=("questions", str(file.pk)))
        file.delete()


def items(*, actor: User, file: QuestionFile) -> Iterator[QuestionItem]:
    """Those whose document the actor manages now and that can still be read. Where a collection hides personal data
    from anybody, those with some in it are left out: a model gives what it has learned to whoever asks."""
    rows = file.items.filter(document__in=policy.managed_documents(actor)).select_related("document")
    guarded = personal.guarded()
    for row in rows.order_by("pk").iterator():
        rule = guarded.get(row.document.collection_id)
        if row.content and not (rule and personal.holds(" ".join(map(str, row.content.values())), rule)):
            yield row


def for_everyone(file: QuestionFile) -> bool:
    """Whether everybody may read every document in it. A model gives what it has learned to whoever asks."""
    documents = Document.objects.filter(pk__in=file.items.values("document"))
    return not documents.exclude(scope__grants__everyone=True).exists()


def export(*, actor: User, file_id: str | UUID, folder: Path) -> dict[str, int]:
    """Write train.jsonl and test.jsonl there, as `inference.runs.data` reads them; how many of each. Recorded.

    Raises NotFound, PermissionRefused, Conflict (one side is empty)."""
    file = get(actor=actor, file_id=file_id)
    rows: dict[str, list[str]] = {Split.TRAIN: [], Split.TEST: []}
    for item in items(actor=actor, file=file):
        rows[item.split].append(json.dumps(_row(item), ensure_ascii=False, sort_keys=True))
    if not all(rows.values()):
        raise Conflict(
            "The file has no questions on one side of its split. Make it from more documents.", code="too_few"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, lines in rows.items():
        path = folder / f"{name}.jsonl"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
    counts = {name: len(lines) for name, lines in rows.items()}
    audit.record(action="questions.exported", target=("questions", str(file.pk)), detail=counts)
    return counts


def forget_export(folder: Path) -> None:
    """What `export` wrote there is deleted."""
    for name in Split.values:
        (folder / f"{name}.jsonl").unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)


def _fill(file: QuestionFile, documents: QuerySet[Document]) -> int:
    """Questions of every document; one that stands on the side to judge by is never learned from as well."""
    made: dict[str, list[tuple[Document, dict[str, Any]]]] = {Split.TRAIN: [], Split.TEST: []}
    for document in documents.iterator():
        assert document.current is not None
        side = _side(document.current.sha256, file.seed)
        made[side] += [(document, content) for content in _asked(document)]
    judged = {normalize(content["question"]) for _, content in made[Split.TEST]}
    kept = [(Split.TEST, *pair) for pair in made[Split.TEST]]
    kept += [(Split.TRAIN, *pair) for pair in made[Split.TRAIN] if normalize(pair[1]["question"]) not in judged]
    once = {(content["question"], content["passage"]): (side, document, content) for side, document, content in kept}
    for side, document, content in once.values():  # of copies of a document only one counts
        QuestionItem.objects.create(file=file, document=document, split=side, content=content)
    return len(once)


def _asked(document: Document) -> Iterable[dict[str, Any]]:
    """A document's questions, each once, at most PER_DOCUMENT; flagged passages are left out."""
    found: dict[str, dict[str, Any]] = {}
    chunks = Chunk.objects.filter(version=F("document__current"), document=document).defer("embedding")
    for chunk in chunks.filter(suspicion__lt=injection.THRESHOLD_BANNER).order_by("ordinal"):
        for made in asking.questions(chunk.text, chunk.headings):
            content = {"question": made.question, "answer": made.answer, "passage": chunk.text, "page": chunk.page}
            found.setdefault(normalize(made.question), {**content, "kind": made.kind})
        if len(found) >= PER_DOCUMENT:
            break
    return list(found.values())[:PER_DOCUMENT]


def _remember(file: QuestionFile, answer: Answer) -> int:
    """One good answer as an item; 0 when nothing of it can be used."""
    documents = sorted(answer.rests_on.all(), key=lambda document: str(document.pk))
    said = " ".join(str(sentence[0]) for sentence in answer.sentences).translate(_MARKERS)
    if not documents or not said:
        return 0
    passage = "\n".join(quote.quote for quote in answer.citations.all())
    content = {"question": answer.question, "answer": said, "passage": passage, "page": 0, "kind": "conversation"}
    side = _side(str(documents[0].pk), file.seed)
    QuestionItem.objects.create(file=file, document=documents[0], answer=answer, split=side, content=content)
    return 1


def _kept(file: QuestionFile, count: int, detail: dict[str, Any]) -> None:
    if not count:
        raise Conflict(
            "No question could be made from this. Other documents may have more plain sentences.", code="too_few"
        )
    sides = {side: file.items.filter(split=side).count() for side in Split.values}
    audit.record(action="questions.made", target=("questions", str(file.pk)), detail={**detail, **sides})


def _side(name: str, seed: int) -> Split:
    chance = int(hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()[:8], 16) / 2**32
    return Split.TEST if chance < HELD_OUT else Split.TRAIN


def _row(item: QuestionItem) -> dict[str, Any]:
    content = item.content
    asked = f"{content['passage']}\n\n{content['question']}" if content["passage"] else content["question"]
    return {
        "id": str(item.pk),
        "group": str(item.document_id),
        "messages": [{"role": "user", "content": asked}],
        "answer": content["answer"],
    }
