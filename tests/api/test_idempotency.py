"""The same call twice at the same moment has one effect. Runs on both databases."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from rest_framework.test import APIClient

from assistant.accounts.models import User
from assistant.chat import dispatch
from assistant.chat.models import Answer, Conversation, Feedback
from assistant.documents import services
from assistant.documents.models import Document, DocumentVersion, Grant

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 6


def at_once(person: User, call, number: int = AT_ONCE) -> list:
    """`call(client, at)` by `number` threads that leave one barrier together; their results."""
    barrier = threading.Barrier(number)

    def one(at: int):
        client = APIClient()
        client.force_authenticate(person)
        try:
            barrier.wait(60)
            return call(client, at)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.fixture
def sent(monkeypatch):
    """The answers that were handed to workers."""
    found: list = []
    monkeypatch.setattr(dispatch, "send", found.append)
    return found


def test_a_question_asked_twice_with_one_key_is_asked_once(people, sent):
    def ask(client, _at):
        headers = {"Idempotency-Key": "once"}
        return client.post("/api/v1/answers/", {"question": "How much?"}, format="json", headers=headers)

    answers = at_once(people.employee, ask)
    assert {answer.status_code for answer in answers} <= {200, 202}, [answer.content for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Answer.objects.count() == Conversation.objects.count() == len(sent) == 1


def test_one_key_for_two_questions_is_one_answer_and_a_conflict(people, sent):
    def ask(client, at):
        body = {"question": f"Question {at % 2}?"}
        return client.post("/api/v1/answers/", body, format="json", headers={"Idempotency-Key": "mixed"})

    statuses = sorted(answer.status_code for answer in at_once(people.employee, ask))
    assert statuses.count(409) == AT_ONCE // 2
    assert Answer.objects.count() == len(sent) == 1


def test_two_people_may_use_the_same_key(people, sent):
    for person in (people.employee, people.outsider):
        client = APIClient()
        client.force_authenticate(person)
        headers = {"Idempotency-Key": "ours"}
        answer = client.post("/api/v1/answers/", {"question": "Mine?"}, format="json", headers=headers)
        assert answer.status_code == 202
    assert Answer.objects.count() == len(sent) == 2


def test_one_file_uploaded_twice_is_one_document(people):
    services.create_collection(actor=people.administrator, slug="papers", name="Papers")

    def send(client, _at):
        file = io.BytesIO(b"The same bytes.")
        file.name = "same.txt"
        return client.post("/api/v1/documents/", {"collection": "papers", "file": file}, format="multipart")

    answers = at_once(people.administrator, send)
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Document.objects.count() == DocumentVersion.objects.count() == 1


def test_a_grant_given_twice_is_one_grant(people):
    services.create_collection(actor=people.administrator, slug="papers", name="Papers")

    def grant(client, _at):
        body = {"principal": f"user:{people.employee.email}", "access": "reader"}
        return client.post("/api/v1/collections/papers/grants/", body, format="json")

    assert {answer.status_code for answer in at_once(people.administrator, grant)} <= {200, 201}
    assert Grant.objects.filter(user=people.employee).count() == 1


def test_a_judgement_given_twice_is_one_judgement(people):
    conversation = Conversation.objects.create(owner=people.employee, title="x")
    answer = Answer.objects.create(
        conversation=conversation, owner=people.employee, question="x", status="done", outcome="not_found"
    )

    def judge(client, at):
        return client.post(f"/api/v1/answers/{answer.pk}/feedback/", {"good": at % 2 == 0}, format="json")

    assert {response.status_code for response in at_once(people.employee, judge)} <= {200, 201, 204}
    assert Feedback.objects.count() == 1
