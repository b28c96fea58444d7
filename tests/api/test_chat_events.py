"""Live answers over a real connection: worker, Redis stream, uvicorn."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import pytest

from assistant.accounts import services as accounts
from assistant.audit.models import AuditEvent
from assistant.chat import answering, services, tasks
from assistant.documents.models import Grant
from assistant.transport import redis_client
from tests.chat.conftest import company  # noqa: F401  (fixtures)
from tests.chat.engines import SlowModel
from tests.chat.library import asked
from tests.chat.live import server, worker  # noqa: F401

SAYS_NOTHING = {"status", "heartbeat"}  # told at any moment, when there is a place in the queue or long silence
GERMANY = "What is the meal allowance in Germany?"


@pytest.fixture
def client(server, people) -> Iterator[httpx.Client]:  # noqa: F811
    _, token = accounts.issue_token(actor=people.employee, user=people.employee, name="tests")
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        yield client


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events as a browser would understand them."""
    event: dict[str, Any] = {}
    for line in lines:
        if not line and "data" in event:
            yield event
            event = {}
        elif line.startswith(("id: ", "event: ", "data: ")):
            field, _, value = line.partition(": ")
            event[field] = json.loads(value) if field == "data" else value


def followed(client: httpx.Client, pk: Any, last: str = "") -> list[dict[str, Any]]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    with client.stream("GET", f"/api/v1/answers/{pk}/events/", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        return list(events(response.iter_lines()))


def test_question_asked_over_http_is_streamed_to_its_end(company, client, worker):  # noqa: F811
    pk = client.post("/api/v1/answers/", json={"question": GERMANY}).json()["id"]
    got = followed(client, pk)
    kinds = [event["event"] for event in got if event["event"] != "status"]
    assert kinds[0] == "sources"
    assert {"delta", "citation"} <= set(kinds)
    assert kinds[-1] == "done"
    assert [kinds.count("done"), kinds.count("error")] == [1, 0]
    done = got[-1]["data"]
    assert "".join(event["data"]["text"] for event in got if event["event"] == "delta") == done["text"]
    source = next(event["data"] for event in got if event["event"] == "sources")[0]
    assert source["document"] == str(company.travel.pk)
    citation = next(event["data"] for event in got if event["event"] == "citation")
    assert (citation["quote"], citation["verified"]) == ("The meal allowance in Germany is 28 euros per day.", True)


def test_wait_returns_the_finished_answer(company, client, worker):  # noqa: F811
    response = client.post("/api/v1/answers/?wait=20", json={"question": GERMANY})
    assert (response.status_code, response.json()["outcome"]) == (200, "answered")


def test_last_event_id_resumes_without_loss_or_repetition(company, people, client):  # noqa: F811
    answer = asked(people.employee, GERMANY)
    whole = followed(client, answer.pk)
    for place, event in enumerate(whole[:-1]):
        assert followed(client, answer.pk, event["id"])[:-1] == whole[place + 1 : -1]
    assert followed(client, answer.pk, "nonsense") == whole


def test_stream_that_is_gone_gives_the_finished_answer(company, people, client):  # noqa: F811
    answer = asked(people.employee, GERMANY)
    redis_client().flushall()
    (only,) = followed(client, answer.pk)
    assert (only["event"], only["data"]["outcome"]) == ("done", "answered")


class Following(threading.Thread):
    """A reader in its own thread; `seen` grows while it reads."""

    def __init__(self, client: httpx.Client, pk: Any) -> None:
        super().__init__(daemon=True)
        self.seen: list[dict[str, Any]] = []
        self._client, self._pk = client, pk
        self.start()

    def run(self) -> None:
        with self._client.stream("GET", f"/api/v1/answers/{self._pk}/events/") as response:
            for event in events(response.iter_lines()):
                self.seen.append(event)

    def until(self, kind: str) -> None:
        for _ in range(3000):
            if any(event["event"] == kind for event in self.seen):
                return
            time.sleep(0.02)
        raise AssertionError(f"no {kind} in {self.seen}")


@pytest.fixture
def speaking(company, people) -> Iterator[Any]:  # noqa: F811
    """(answer, model): an answer whose model has said one sentence and goes on when released."""
    model = SlowModel(["The meal allowance in Germany is 28 euros per day [1]. More to"])
    tools = replace(answering.tools(), engine=model)
    answer, _ = services.ask(actor=people.employee, question=GERMANY)

    def work() -> None:
        from django.db import connection

        tasks.work(answer.pk, tools=tools)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert model.speaking.wait(60)
    yield answer, model
    model.release.set()
    thread.join(60)


def test_redis_flushed_in_mid_answer_costs_only_the_live_view(speaking, client):
    answer, model = speaking
    reader = Following(client, answer.pk)
    reader.until("delta")
    redis_client().flushall()
    model.release.set()
    reader.join(60)
    assert reader.seen[-1]["event"] == "done"
    assert reader.seen[-1]["data"]["text"].endswith("More to")


def test_reader_who_loses_access_in_mid_answer_gets_no_more_text(speaking, company, client):  # noqa: F811
    answer, model = speaking
    reader = Following(client, answer.pk)
    reader.until("citation")
    Grant.objects.filter(scope__collection=company.handbook).delete()
    before = len(reader.seen)
    late = Following(client, answer.pk)
    model.release.set()
    reader.join(60)
    late.join(60)
    assert [event["event"] for event in reader.seen[before:] if event["event"] not in SAYS_NOTHING] == ["done"]
    for seen in (reader.seen[before:], late.seen):
        assert "28 euros" not in json.dumps(seen)
    assert reader.seen[-1]["data"]["reason"] == "sources_changed"


def test_cancel_over_http_ends_the_stream(speaking, client):
    answer, _ = speaking
    reader = Following(client, answer.pk)
    reader.until("delta")
    assert client.post(f"/api/v1/answers/{answer.pk}/cancel/").status_code == 200
    reader.join(60)
    assert reader.seen[-1]["data"]["outcome"] == "cancelled"


def test_deleting_the_conversation_ends_the_stream(speaking, client):
    answer, _ = speaking
    reader = Following(client, answer.pk)
    reader.until("delta")
    assert client.delete(f"/api/v1/conversations/{answer.conversation_id}/").status_code == 204
    reader.join(60)
    assert (reader.seen[-1]["event"], reader.seen[-1]["data"]) == ("error", {"code": "not_found"})
    denied = AuditEvent.objects.get(action="access.denied")
    assert (denied.target_type, denied.target_id) == ("answer", str(answer.pk))
    assert denied.session.startswith("token:")


def test_nothing_readable_lies_in_redis(speaking):
    answer, _ = speaking
    entries = redis_client().xrange(f"answer:{answer.pk}")
    assert len(entries) > 2
    assert "euros" not in str(entries)
    assert "Travel" not in str(entries)
