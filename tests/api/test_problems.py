"""What a developer reads when a call is wrong: one shape, and what to do."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from assistant.accounts import services

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(people):
    token = services.issue_token(actor=people.employee, user=people.employee, name="tool")[1]
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return lambda method, path, **given: getattr(client, method)(f"/api/v1/{path}", **given)


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "detail"),
    [
        ("put", "answers/", {}, 405, "Use POST, OPTIONS."),
        ("post", "answers/", {"data": {"question": "Who?"}}, 415, "Send application/json."),
        ("post", "documents/", {"data": {}, "content_type": "application/json"}, 415, "Send multipart/form-data."),
        ("post", "answers/", {"data": "{", "content_type": "application/json"}, 400, "JSON parse error"),
        ("get", "collections/", {"headers": {"accept": "text/csv"}}, 406, ""),
    ],
)
def test_a_wrong_call_is_told_what_to_send(call, method, path, given, status, detail):
    response = call(method, path, **given)
    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert response["Content-Type"] == "application/problem+json"
    assert problem["detail"].startswith(detail)
    assert "{" not in problem["title"]


def test_the_contract_is_yaml_or_json_and_its_refusal_a_problem_like_any_other(call):
    assert b"openapi: 3" in call("get", "schema/").content
    assert json.loads(call("get", "schema/", headers={"accept": "application/json"}).content)["openapi"]
    refused = Client().get("/api/v1/schema/")
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "not_authenticated"


def test_a_forgotten_slash_does_not_make_a_get_of_a_post(call):
    sent = {"data": {"query": ""}, "content_type": "application/json"}
    response = call("post", "search", **sent)
    assert (response.status_code, response["Location"]) == (308, "/api/v1/search/")
    assert b"ends with a slash: /api/v1/search/" in response.content
    assert call("post", "search", follow=True, **sent).json()["fields"] == {"query": ["This field may not be blank."]}
    assert Client().get("/library").status_code == 308
