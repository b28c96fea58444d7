"""A request goes to its thread once; static files come from the same chain."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings

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
