"""A small library with known rights, and a signed-in Django client for each person."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import uvicorn
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone
from playwright.sync_api import sync_playwright

from assistant.accounts.models import Team, User
from assistant.asgi import application
from assistant.chat.models import Answer, Citation, Conversation
from assistant.documents.models import (
    Access,
    Chunk,
    Collection,
    Document,
    DocumentVersion,
    Grant,
    Page,
    Scope,
    Status,
)

from .browser import CHROMIUM, SWITCHES, Visit, visit

TEXT = "Travel policy\n\nThe daily allowance is 28 euros. Receipts are kept for ten years.\n\nAsk the travel desk."
QUOTE = "The daily allowance is 28 euros."


@dataclass(frozen=True)
class Library:
    """`handbook` is read by everyone and curated by the curator; `board` is read by nobody here but the auditor."""

    handbook: Collection
    board: Collection
    policy: Document
    minutes: Document
    failed: Document


def make_collection(slug: str, name: str) -> Collection:
    collection = Collection.objects.create(slug=slug, name=name, description=f"All about {name}.")
    Scope.objects.create(collection=collection, key="")
    return collection


def make_document(
    collection: Collection, title: str, *, text: str = TEXT, status: str = Status.READY, owner: User | None = None
) -> Document:
    scope = Scope.objects.get(collection=collection, key="")
    document = Document.objects.create(collection=collection, scope=scope, title=title, owner=owner)
    version = DocumentVersion(
        document=document,
        number=1,
        filename=f"{title}.txt",
        media_type="text/plain",
        size=len(text),
        sha256=f"{document.pk.int:064x}"[:64],
        uploaded_by=owner,
        status=status,
        pages_total=1,
        pages_done=1,
    )
    version.file.save("original", ContentFile(text.encode()), save=False)
    version.save()
    if status == Status.FAILED:
        version.error_code, version.error = "encrypted_document", "The document is protected by a password."
        version.save()
        return document
    Page.objects.create(version=version, number=1, text=text)
    Chunk.objects.create(
        document=document,
        version=version,
        ordinal=0,
        page=1,
        char_start=0,
        char_end=len(text),
        text=text,
        embedding=b"",
    )
    if status == Status.READY:
        document.current = version
        document.save()
    return document


@pytest.fixture
def library(people) -> Library:
    handbook, board = make_collection("handbook", "Handbook"), make_collection("board", "Board")
    own = Scope.objects.get(collection=handbook, key="")
    Grant.objects.create(scope=own, everyone=True)
    Grant.objects.create(scope=own, user=people.curator, access=Access.CURATOR)
    Grant.objects.create(scope=Scope.objects.get(collection=board, key=""), user=people.auditor)
    Team.objects.create(slug="finance", name="Finance")
    return Library(
        handbook=handbook,
        board=board,
        policy=make_document(handbook, "Travel policy", owner=people.curator),
        minutes=make_document(board, "Secret minutes"),
        failed=make_document(handbook, "Locked file", status=Status.FAILED),
    )


@pytest.fixture
def answered(people, library) -> Answer:
    """The employee's conversation with one cited, checked answer."""
    return make_answer(people.employee, library.policy)


def make_answer(owner: User, document: Document, question: str = "How much is the daily allowance?") -> Answer:
    conversation = Conversation.objects.create(owner=owner, title=question)
    now = timezone.now()
    answer = Answer.objects.create(
        conversation=conversation,
        owner=owner,
        question=question,
        status="done",
        outcome="answered",
        text=f"{QUOTE} [1]\n\nIt rises next year.",
        sentences=[[QUOTE, [1], True, 0], ["It rises next year.", [], False, 2]],
        evidence={"collections": ["handbook"], "passages": 4, "rests_on": 1},
        timings={"total": 850},
        engine="extractive",
        finished_at=now + timedelta(seconds=1),
    )
    answer.rests_on.add(document)
    start = TEXT.index(QUOTE)
    assert document.current is not None
    Citation.objects.create(
        answer=answer,
        marker=1,
        document=document,
        version=document.current,
        chunk=document.chunks.first(),
        title=document.title,
        page=1,
        quote=QUOTE,
        char_start=start,
        char_end=start + len(QUOTE),
        verified=True,
        support=1.0,
    )
    return answer


@pytest.fixture
def as_person() -> Callable[[User], Client]:
    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def window(asgi_server, people, library, settings, monkeypatch) -> Iterator[Visit]:
    """The employee's window in a real Chromium, on the product behind a real ASGI server."""
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread
    settings.CSRF_TRUSTED_ORIGINS = [asgi_server]
    client = Client()
    client.force_login(people.employee)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield visit(browser, asgi_server, session=client.cookies["sessionid"].value)
        browser.close()


@pytest.fixture
def asgi_server() -> Iterator[str]:
    """The product behind a real ASGI server, as in production; its address."""
    config = uvicorn.Config(ASGIStaticFilesHandler(application), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    server.force_exit = True
    thread.join(60)
