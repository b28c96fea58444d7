"""Failures are pages too: the right status, what to do, the number to report, and nothing that should stay inside."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError
from django.test import Client
from django.utils import translation

from assistant import errors
from assistant.chat import limits
from assistant.middleware import ContextMiddleware
from assistant.web import errors as pages

pytestmark = pytest.mark.django_db

KINDS = [
    errors.Invalid,
    errors.PermissionRefused,
    errors.NotFound,
    errors.Conflict,
    errors.TooLarge,
    errors.Unsupported,
    errors.TooMany,
    errors.Unavailable,
    errors.AuditUnavailable,
    errors.DatabaseUnavailable,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_expected_failure_is_a_page_with_its_status(rf, kind, language):
    request = rf.get("/")
    request.user = AnonymousUser()
    with translation.override(language):
        response = pages.page(request, kind(retry_after=7))
    assert response.status_code == kind.status
    assert response["Retry-After"] == "7"
    assert "<h1>" in response.content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_says_once_what_its_heading_says_and_keeps_a_sentence_of_its_own(rf, kind):
    request = rf.get("/")
    request.user = AnonymousUser()
    general = pages.page(request, kind()).content.decode()
    assert f'<p dir="auto">{kind.title}</p>' not in general
    assert (
        '<p dir="auto">The cabinet is locked.</p>'
        in pages.page(request, kind("The cabinet is locked.")).content.decode()
    )


def test_general_words_replace_an_untranslated_detail(rf):
    request = rf.get("/")
    request.user = AnonymousUser()
    with translation.override("zh-hans"):
        body = pages.page(request, errors.Conflict("Words that only exist in English.")).content.decode()
    assert "Words that only exist in English." not in body


def test_fault_page_needs_neither_database_nor_session(rf):
    response = pages.server_error(rf.get("/"), errors.AssistantError())
    assert response.status_code == 500
    assert b"Something went wrong on our side" in response.content


@pytest.mark.parametrize(
    ("address", "kind"),
    [("/", "text/html; charset=utf-8"), ("/api/v1/answers/", "application/problem+json")],
)
@pytest.mark.parametrize(
    ("fault", "status"), [(OperationalError("database or disk is full"), 503), (ZeroDivisionError("x"), 500)]
)
def test_a_database_that_is_away_even_for_the_session_is_a_503_and_a_fault_a_500(
    people, monkeypatch, address, kind, fault, status
):
    """Whoever is signed in is looked up before any view is reached."""
    client = Client(raise_request_exception=False)
    client.force_login(people.employee)

    def away(*_, **__):
        raise fault

    monkeypatch.setattr(ContextMiddleware, "_facts", staticmethod(away))
    response = client.post(address, {"question": "How much?"})
    assert (response.status_code, response.headers["Content-Type"]) == (status, kind)
    assert response.has_header("Retry-After") == (status == 503)


@pytest.mark.parametrize("address", ["/", "/api/v1/answers/", "/v1/chat/completions"])
def test_a_database_that_cannot_be_written_once_the_record_stands_is_a_503(people, monkeypatch, address):
    client = Client()
    client.force_login(people.employee)

    def full(*_, **__):
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(limits, "serialise", full)
    body = {"question": "How much?", "model": "assistant", "messages": [{"role": "user", "content": "How much?"}]}
    response = client.post(address, body, **({} if address == "/" else {"content_type": "application/json"}))
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"


def test_stale_form_says_what_to_do(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.employee)
    response = client.post("/", {"question": "How much?"})
    assert response.status_code == 403
    assert b"This form is out of date." in response.content


def test_full_queue_is_told_at_the_form_and_the_question_stays(as_person, people, library, settings):
    settings.ANSWER_QUEUE_LIMIT = 2
    client = as_person(people.employee)
    client.post("/", {"question": "First question?"})
    response = client.post("/", {"question": "Second question?"})
    assert response.status_code == 400
    assert "Second question?" in response.content.decode()
    assert "There is a problem" in response.content.decode()


def test_pages_carry_a_policy_without_inline_anything(as_person, people, answered):
    response = as_person(people.employee).get(f"/conversations/{answered.conversation_id}/")
    policy = response["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert {part.split()[0] for part in policy.split("; ")} == set(settings.CONTENT_SECURITY_POLICY["DIRECTIVES"])
    assert as_person(people.employee).get("/nowhere/")["Content-Security-Policy"] == policy
    assert as_person(people.employee).get("/api/v1/collections/")["Content-Security-Policy"] == policy
    body = response.content.decode()
    assert " style=" not in body
    assert "<style" not in body
    assert " onclick=" not in body
    assert "http://" not in body.replace("http://www.w3.org", "")
