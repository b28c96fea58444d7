"""Failures are pages too: the right status, what to do, the number to report, and nothing that should stay inside."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.utils import translation

from assistant import errors
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


def test_general_words_replace_an_untranslated_detail(rf):
    request = rf.get("/")
    request.user = AnonymousUser()
    with translation.override("zh-hans"):
        body = pages.page(request, errors.Conflict("Words that only exist in English.")).content.decode()
    assert "Words that only exist in English." not in body


def test_fault_page_needs_neither_database_nor_session(rf):
    response = pages.server_error(rf.get("/"))
    assert response.status_code == 500
    assert b"Something went wrong on our side" in response.content


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
    body = response.content.decode()
    assert " style=" not in body
    assert "<style" not in body
    assert " onclick=" not in body
    assert "http://" not in body.replace("http://www.w3.org", "")
