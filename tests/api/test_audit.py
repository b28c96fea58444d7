"""The audit log from outside."""

import json

import pytest

from assistant.audit import exported, services
from assistant.audit.models import AuditEvent
from tests.audit.test_retention import aged  # noqa: F401  (fixture)

from .test_accounts import Api

pytestmark = pytest.mark.django_db


def streamed(answer):
    return b"".join(answer.streaming_content).decode()


@pytest.fixture
def log(people):
    services.record(action="document.uploaded", target=("document", "d1"), detail={"pages": 3})
    services.record(action="answer.asked", target=("answer", "a1"), content={"question": "the secret words"})
    return Api(people.auditor)


def test_an_auditor_sees_events_and_never_texts(log, people):
    page = log("get", "audit/events/")
    results = page.json()["results"]
    assert [row["action"] for row in results] == ["audit.viewed", "token.issued", "answer.asked", "document.uploaded"]
    assert (results[0]["person"], results[0]["role"]) == ("auditor@company.example", "auditor")
    assert [row["has_text"] for row in results] == [False, False, True, False]
    assert results[3]["detail"] == {"pages": 3}
    assert "secret words" not in page.content.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("action=document.", ["document.uploaded"]),
        ("target=document:d1", ["document.uploaded"]),
        ("target=document:d2", []),
        ("outcome=failed", []),
        ("person=auditor@company.example&action=audit.viewed", ["audit.viewed"]),
        ("person=ghost@company.example", []),
        ("person=anonymous&action=answer.", ["answer.asked"]),
        ("until=2020-01-01T00:00:00Z", []),
        ("since=2020-01-01T00:00:00Z&action=token.issued", ["token.issued"]),
    ],
)
def test_events_are_filtered(log, query, expected):
    assert [row["action"] for row in log("get", f"audit/events/?{query}").json()["results"]] == expected


@pytest.mark.parametrize("query", ["outcome=perhaps", "since=yesterday", "action=" + "x" * 65, "person=%00"])
def test_bad_filters_are_400(log, query):
    assert log("get", f"audit/events/?{query}").status_code == 400


def test_events_come_in_pages(log):
    for _ in range(5):
        services.record(action="auth.sign_in")
    page = log("get", "audit/events/?action=auth.sign_in&page_size=2").json()
    assert len(page["results"]) == 2
    more = log("get", page["next"].split("/api/v1/")[1]).json()
    assert [row["seq"] for row in page["results"] + more["results"]] == [8, 7, 6, 5]


def test_verification_reports_and_is_recorded(log):
    report = log("get", "audit/verify/").json()
    assert report["ok"]
    assert report["finding"] is None
    assert report["events"] == 3
    assert AuditEvent.objects.order_by("-seq").first().action == "audit.verified"


def test_the_whole_log_is_exported_verifiable(log, tmp_path):
    answer = log("get", "audit/export/")
    path = tmp_path / "log.jsonl"
    path.write_text(streamed(answer))
    assert answer["Content-Type"] == "application/x-ndjson"
    assert "attachment" in answer["Content-Disposition"]
    report = exported.verify_file(path, public_key=services.current_keys().public)
    assert report.ok
    last = json.loads(path.read_text().splitlines()[-2])
    assert (last["action"], last["outcome"]) == ("audit.exported", "intent")


def test_a_selection_is_exported_in_each_format(log, tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text(streamed(log("get", "audit/export/?format=jsonl&action=document.uploaded")))
    assert exported.verify_file(path).events == 1
    table = streamed(log("get", "audit/export/?format=csv&action=document.uploaded"))
    assert len(table.splitlines()) == 2
    cef = streamed(log("get", "audit/export/?format=cef&action=document.uploaded"))
    assert cef.startswith("CEF:0|")
    assert log("get", "audit/export/?format=xml").status_code == 400


@pytest.mark.parametrize("persona", ["employee", "curator", "outsider"])
@pytest.mark.parametrize("path", ["audit/events/", "audit/verify/", "audit/export/"])
def test_nobody_else_reads_the_log(people, persona, path):
    assert Api(getattr(people, persona))("get", path).status_code == 403


def test_separation_of_duties_takes_the_log_from_administrators(people, settings):
    api = Api(people.administrator)
    assert api("get", "audit/events/").status_code == 200
    settings.SEPARATION_OF_DUTIES = True
    assert api("get", "audit/events/").status_code == 403


def test_a_token_needs_the_audit_scope(people):
    assert Api(people.auditor, scopes=["read"])("get", "audit/events/").status_code == 403
    assert Api(people.auditor, scopes=["audit"])("get", "audit/events/").status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_the_export_streams_under_the_asynchronous_server(people, async_client):
    from asgiref.sync import sync_to_async
    from django.db import connections

    api = await sync_to_async(Api)(people.auditor)
    answer = await async_client.get("/api/v1/audit/export/?format=csv", headers={"Authorization": f"Bearer {api.raw}"})
    assert answer.is_async
    body = b"".join([chunk async for chunk in answer.streaming_content]).decode()
    assert "token.issued" in body
    await sync_to_async(connections.close_all)()  # the worker thread's own


def test_searches_are_kept_listed_and_forgotten(log):
    kept = log("post", "audit/queries/", {"name": "Refusals", "query": "outcome=refused&since=2026-01-01&page=3"})
    assert (kept.status_code, kept.json()["query"]) == (201, "outcome=refused&since=2026-01-01")
    assert log("get", f"audit/events/?{kept.json()['query']}").status_code == 200
    assert [row["name"] for row in log("get", "audit/queries/").json()] == ["Refusals"]
    assert log("post", "audit/queries/", {"name": "x", "query": "page=3"}).json()["fields"] == {
        "query": ["No filter is set."]
    }
    assert log("delete", f"audit/queries/{kept.json()['id']}/").status_code == 204
    assert log("delete", f"audit/queries/{kept.json()['id']}/").status_code == 404


def test_removable_segments_are_listed_and_may_be_asked_for(people, aged):  # noqa: F811
    aged(500, 10)
    api = Api(people.auditor)
    (segment,) = api("get", "audit/segments/").json()
    assert (segment["first"], segment["last"]) == (1, 4)
    asked = api("post", "audit/permits/", {"kind": "prune", "seq": segment["last"], "reason": "Their time is over"})
    Api(people.administrator)("post", f"audit/permits/{asked.json()['id']}/decision/", {"approve": True})
    assert api("post", f"audit/permits/{asked.json()['id']}/prune/").json() == {"segments": 1}
    assert api("get", "audit/segments/").json() == []
