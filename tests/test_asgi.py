"""A request goes to its thread once, and the thread to the next request; static files come from the same chain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.db import connection
from django.utils import translation

from assistant import asgi, observability
from assistant.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)


def get(path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request, as an ASGI server makes it."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict] = []

    async def run() -> None:
        asked = False

        async def receive() -> dict:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # the browser stays
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        await asyncio.wait_for(application(scope, receive, send), 60)

    asyncio.run(run())
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent)


def test_middleware_and_view_run_at_one_go(monkeypatch):
    """Begin, answer, close: what Django does around every request, and nothing for each middleware."""
    trips: list[str] = []
    usual = SyncToAsync.__call__

    async def counted(self, *arguments, **options):
        trips.append(str(self.func))
        return await usual(self, *arguments, **options)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    status, headers, _ = get("/healthz")
    assert status == 200
    assert headers["x-request-id"]
    assert len(trips) <= 3, trips


def test_the_next_request_has_the_same_thread(monkeypatch):
    used: list[str] = []
    usual = application.get_response

    def noted(request):
        used.append(threading.current_thread().name)
        return usual(request)

    monkeypatch.setattr(application, "get_response", noted)
    monkeypatch.setattr(application, "threads", threads := asgi.Threads())
    for _ in range(3):
        assert get("/healthz")[0] == 200
        until(lambda: len(threads._resting) == 1)
    assert len(used) == 3
    assert len(set(used)) == 1


def test_a_thread_rests_when_everything_asked_of_it_is_done():
    """A view that is stuck keeps its thread: nobody else waits behind it."""
    threads = asgi.Threads()
    stuck, go_on = threads.take(), threading.Event()
    try:
        stuck.submit(go_on.wait, 60)
        threads.give(stuck)
        other = threads.take()
        assert other is not stuck
        threads.give(other)
        until(lambda: list(threads._resting) == [other])
    finally:
        go_on.set()
    until(lambda: list(threads._resting) == [other, stuck])
    assert threads.take() is stuck
    assert threads.take() is other
    for thread in (stuck, other):
        thread.shutdown()


def test_only_so_many_threads_rest():
    threads = asgi.Threads()
    taken = [threads.take() for _ in range(asgi.MOST + 3)]
    assert len(set(taken)) == len(taken)
    for thread in taken:
        threads.give(thread)
    for thread in taken:
        until(lambda thread=thread: thread in threads._resting or thread._shutdown)
    assert len(threads._resting) == asgi.MOST
    for thread in taken:
        thread.shutdown()


def test_nothing_of_a_request_is_left_to_the_next_one_on_its_thread(monkeypatch):
    """Whose request it is, the language and the database connection are the request's own."""
    seen: list[tuple[str, str, bool]] = []
    usual = application.get_response

    def noted(request):
        before = (observability.current().request_id, translation.get_language(), connection.connection is None)
        response = usual(request)
        translation.activate("zh-hans")
        connection.ensure_connection()
        observability.amend(actor="user:1", request_id="left")
        seen.append(before)
        return response

    monkeypatch.setattr(application, "get_response", noted)
    monkeypatch.setattr(application, "threads", threads := asgi.Threads())
    for _ in range(3):
        assert get("/healthz")[0] == 200
        until(lambda: len(threads._resting) == 1)
    assert seen == [("", "en", True)] * 3


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def stylesheet():
    """A file that `collectstatic` would have left."""
    path = settings.STATIC_ROOT / "own.css"
    path.write_text("body { color: black }")
    application.load_middleware()
    yield f"{settings.STATIC_URL}own.css"
    path.unlink()
    application.load_middleware()


def test_static_files_are_served_with_the_headers_of_every_answer(stylesheet):
    status, headers, body = get(stylesheet)
    assert (status, body) == (200, b"body { color: black }")
    assert headers["content-type"].startswith("text/css")
    assert headers["x-content-type-options"] == "nosniff"
    assert get(f"{settings.STATIC_URL}absent.css")[0] == 404
