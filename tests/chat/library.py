"""A small real library for chat tests: rows as ingestion leaves them, embedded with the real model."""

from __future__ import annotations

import json

from django.db import transaction

from assistant import engines
from assistant.accounts.models import Team, User
from assistant.chat import answering, services, streaming, tasks
from assistant.chat.models import Answer
from assistant.documents import index_events, sealed
from assistant.documents.models import (
    Chunk,
    Collection,
    Document,
    DocumentVersion,
    Grant,
    Page,
    Scope,
    Status,
)
from assistant.transport import redis_client
from retrieval.chunking import chunk_document, passage_text
from retrieval.schema import ParsedDocument, ParsedPage

TRAVEL = [
    "Travel Policy\n\nThe meal allowance in Germany is 28 euros per day. "
    "The meal allowance in France is 40 euros per day.\nHotel costs up to 130 euros per night are reimbursed.",
    "Claims\n\nTravel expenses are claimed with form T-12 in the portal. Reimbursement takes ten working days after "
    "the form has arrived.\nThe head of department approves every business trip outside Europe.",
]
LEAVE = [
    "Leave Policy\n\nEmployees have 30 days of annual leave. Contractors have no paid leave under this policy.\n"
    "Unused leave may be carried over until 31 March of the following year.",
]
LEAVE_ZH = ["休假制度\n\n员工每年享有三十天年假。未休完的年假可以结转到次年三月三十一日。\n实习生每年享有五天年假。"]
SALARIES = ["Salary bands\n\nThe salary range for band E4 is 62,000 to 78,000 euros. Band E5 begins at 80,000 euros."]


def collection(slug: str, *readers: User | Team | str) -> Collection:
    row = Collection.objects.create(slug=slug, name=slug.title())
    scope = Scope.objects.create(collection=row, key="")
    for reader in readers:
        grant(scope, reader)
    return row


def grant(scope: Scope, reader: User | Team | str) -> Grant:
    return Grant.objects.create(
        scope=scope,
        user=reader if isinstance(reader, User) else None,
        team=reader if isinstance(reader, Team) else None,
        everyone=reader == "everyone",
    )


def write_document(where: Collection, title: str, pages: list[str]) -> Document:
    """What ingestion leaves behind for a text file with these pages."""
    parsed = ParsedDocument(
        "text/plain", title, tuple(ParsedPage(number, text) for number, text in enumerate(pages, start=1))
    )
    embedder = engines.embedder()
    chunks = chunk_document(parsed, count_tokens=embedder.count_tokens)
    vectors = embedder.embed([passage_text(title, chunk.headings, chunk.text) for chunk in chunks])
    with transaction.atomic():
        document = Document.objects.create(collection=where, scope=where.scopes.get(key=""), title=title)
        version = DocumentVersion.objects.create(
            document=document,
            number=1,
            filename=f"{title}.txt",
            size=1,
            sha256="0" * 64,
            status=Status.READY,
            embedding_model=embedder.model_id,
        )
        Page.objects.bulk_create(
            Page(version=version, number=number, text=text) for number, text in enumerate(pages, start=1)
        )
        Chunk.objects.bulk_create(
            Chunk(
                document=document,
                version=version,
                ordinal=chunk.ordinal,
                page=chunk.page,
                headings=list(chunk.headings),
                char_start=chunk.char_start,
                char_end=chunk.char_end,
                text=chunk.text,
                embedding=vector.astype("<f2").tobytes(),
            )
            for chunk, vector in zip(chunks, vectors, strict=True)
        )
        document.current = version
        document.save()
        index_events.append([document.pk])
    return document


def asked(actor: User, question: str, *, tools: answering.Tools | None = None, **options) -> Answer:
    """Ask and answer in this process; the finished row."""
    answer, _ = services.ask(actor=actor, question=question, **options)
    tasks.work(answer.pk, tools=tools)
    answer.refresh_from_db()
    return answer


def streamed(answer: Answer) -> list[tuple[str, object]]:
    """The events that lie in Redis for who follows the answer, unsealed."""
    entries = redis_client().xrange(streaming.stream_key(answer.pk))
    return [(fields["event"], json.loads(sealed.unseal(fields["data"], seconds=60))) for _, fields in entries]
