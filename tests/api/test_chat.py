"""Questions and conversations over REST, against real rows; live events are in test_chat_events."""

from __future__ import annotations

import uuid

import pytest
from rest_framework.test import APIClient

from assistant.chat import tasks
from assistant.chat.models import Answer
from assistant.documents.models import Grant
from tests.chat.conftest import company  # noqa: F401  (a fixture)
from tests.chat.library import asked

QUESTION = {"question": "What is the meal allowance in Germany?"}


def signed_in(person) -> APIClient:
    client = APIClient()
    client.force_login(person)
    return client


@pytest.fixture
def employee(people) -> APIClient:
    return signed_in(people.employee)


def test_question_is_accepted_and_its_answer_read(company, employee):  # noqa: F811
    accepted = employee.post("/api/v1/answers/", QUESTION)
    assert accepted.status_code == 202
    body = accepted.json()
    assert body["events_url"] == f"/api/v1/answers/{body['id']}/events/"
    waiting = employee.get(f"/api/v1/answers/{body['id']}/").json()
    assert (waiting["status"], waiting["outcome"], waiting["queue_position"], waiting["text"]) == ("queued", "", 1, "")
    tasks.work(uuid.UUID(body["id"]))
    answer = employee.get(f"/api/v1/answers/{body['id']}/").json()
    assert (answer["status"], answer["outcome"]) == ("done", "answered")
    assert (
        answer["citations"][0]
        | {
            "marker": 1,
            "document": str(company.travel.pk),
            "title": "Travel Policy",
            "page": 1,
            "quote": "The meal allowance in Germany is 28 euros per day.",
            "verified": True,
        }
        == answer["citations"][0]
    )
    assert answer["engine"] == "extractive"
    assert answer["timings"]["total"] >= 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": "   \u200b "}, "question"),
        ({"question": "x" * 2001}, "question"),
        ({"question": "a\u0000b"}, "question"),
        ({"question": "Why?", "conversation": "nonsense"}, "conversation"),
        ({"question": "Why?", "collections": "handbook"}, "collections"),
    ],
)
def test_malformed_question_is_a_problem_that_names_the_field(employee, body, field):
    response = employee.post("/api/v1/answers/", body)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert field in response.json()["fields"]
    assert not Answer.objects.exists()


def test_unknown_foreign_and_malformed_look_the_same(company, people, employee):  # noqa: F811
    foreign = asked(people.curator, QUESTION["question"])
    outsider = signed_in(people.outsider)
    bodies = set()
    for method, address in [
        ("get", "/api/v1/answers/{}/"),
        ("get", "/api/v1/answers/{}/events/"),
        ("post", "/api/v1/answers/{}/cancel/"),
        ("post", "/api/v1/answers/{}/feedback/"),
    ]:
        for pk in (foreign.pk, uuid.uuid4()):
            body = [{"good": True}] if "feedback" in address else []
            response = getattr(outsider, method)(address.format(pk), *body)
            assert response.status_code == 404, address
            bodies.add(response.content)
    for pk in (foreign.conversation_id, uuid.uuid4()):
        for method in ("get", "delete"):
            response = getattr(outsider, method)(f"/api/v1/conversations/{pk}/")
            assert response.status_code == 404
            bodies.add(response.content)
        response = outsider.patch(f"/api/v1/conversations/{pk}/", {"title": "Mine"})
        assert response.status_code == 404
        bodies.add(response.content)
        response = outsider.post("/api/v1/answers/", QUESTION | {"conversation": str(pk)})
        assert response.status_code == 404
        bodies.add(response.content)
    for slug in ("hr", "no-such"):
        response = outsider.post("/api/v1/answers/", QUESTION | {"collections": [slug]})
        assert response.status_code == 404
        bodies.add(response.content)
    assert len(bodies) == 1


def test_administrator_and_auditor_do_not_see_other_peoples_answers(company, people):  # noqa: F811
    answer = asked(people.employee, QUESTION["question"])
    for person in (people.administrator, people.auditor, people.curator):
        client = signed_in(person)
        assert client.get(f"/api/v1/answers/{answer.pk}/").status_code == 404
        assert client.get("/api/v1/conversations/").json()["results"] == []


def test_without_credentials_nothing_is_told_but_how_to_sign_in(db):
    client = APIClient()
    for address in ("/api/v1/conversations/", f"/api/v1/answers/{uuid.uuid4()}/"):
        response = client.get(address)
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
    assert client.post("/api/v1/answers/", QUESTION).status_code == 401


def test_same_idempotency_key_gives_the_same_answer(company, employee):  # noqa: F811
    first = employee.post("/api/v1/answers/", QUESTION, headers={"Idempotency-Key": "k-1"})
    again = employee.post("/api/v1/answers/", QUESTION, headers={"Idempotency-Key": "k-1"})
    assert first.json()["id"] == again.json()["id"]
    other = employee.post("/api/v1/answers/", {"question": "Else?"}, headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_wait_gives_up_politely_without_a_worker(company, employee):  # noqa: F811
    response = employee.post("/api/v1/answers/?wait=0.1", QUESTION)
    assert response.status_code == 202
    assert employee.post("/api/v1/answers/?wait=never", QUESTION).status_code == 400


def test_full_queue_is_429_with_retry_after(company, employee, settings):  # noqa: F811
    settings.ANSWER_QUEUE_LIMIT = 2
    assert employee.post("/api/v1/answers/", QUESTION).status_code == 202
    response = employee.post("/api/v1/answers/", QUESTION)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_questions")
    assert int(response["Retry-After"]) > 0


def test_conversations_are_listed_read_renamed_deleted_and_restored(company, people, employee):  # noqa: F811
    first = asked(people.employee, QUESTION["question"])
    asked(people.employee, "And in France?", conversation_id=first.conversation_id)
    other = asked(people.employee, "实习生有多少天年假？")
    listed = employee.get("/api/v1/conversations/?page_size=1").json()
    assert [row["id"] for row in listed["results"]] == [str(other.conversation_id)]
    listed = employee.get(listed["next"]).json()
    assert [row["title"] for row in listed["results"]] == [QUESTION["question"]]
    address = f"/api/v1/conversations/{first.conversation_id}/"
    read = employee.get(address).json()
    assert [answer["question"] for answer in read["answers"]] == [QUESTION["question"], "And in France?"]
    assert employee.patch(address, {"title": "Meals"}).json()["title"] == "Meals"
    assert employee.patch(address, {"title": " "}).status_code == 400
    assert employee.delete(address).status_code == 204
    assert employee.get(address).status_code == 404
    assert employee.get(f"/api/v1/answers/{first.pk}/").status_code == 404
    assert employee.post(f"{address}restore/").json()["title"] == "Meals"
    assert employee.get(address).status_code == 200


def test_feedback_is_kept_and_replaced(company, people, employee):  # noqa: F811
    answer = asked(people.employee, QUESTION["question"])
    address = f"/api/v1/answers/{answer.pk}/"
    assert employee.post(f"{address}feedback/", {"good": True}).status_code == 204
    assert employee.post(f"{address}feedback/", {"good": False, "reason": "wrong page"}).status_code == 204
    assert employee.get(address).json()["feedback"] is False
    assert employee.post(f"{address}feedback/", {"reason": "?"}).status_code == 400


def test_cancelled_question_ends_at_once_and_stays_so(company, employee):  # noqa: F811
    pk = employee.post("/api/v1/answers/", QUESTION).json()["id"]
    for _ in range(2):
        body = employee.post(f"/api/v1/answers/{pk}/cancel/").json()
        assert (body["status"], body["outcome"]) == ("done", "cancelled")
    tasks.work(uuid.UUID(pk))
    assert employee.get(f"/api/v1/answers/{pk}/").json()["outcome"] == "cancelled"


def test_answer_is_withheld_over_rest_after_a_revoke(company, people, employee):  # noqa: F811
    answer = asked(people.employee, "What is the salary range for band E4?")
    address = f"/api/v1/answers/{answer.pk}/"
    assert "62,000" in employee.get(address).content.decode()
    Grant.objects.filter(scope__collection=company.hr).delete()
    for where in (address, f"/api/v1/conversations/{answer.conversation_id}/"):
        response = employee.get(where)
        assert "62,000" not in response.content.decode()
        assert "Salary" not in response.content.decode()
    body = employee.get(address).json()
    assert (body["withheld"], body["reason"], body["text"], body["citations"]) == (True, "access_changed", "", [])
