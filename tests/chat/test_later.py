"""An old answer read again: what it quotes may have expired, been superseded or been deleted since."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from assistant.chat import services
from assistant.documents import services as documents
from assistant.documents.models import Document, DocumentVersion, Status

from .library import asked

pytestmark = pytest.mark.usefixtures("noon")

GERMANY = "What is the meal allowance in Germany?"
ALLOWANCE = "28 euros"


def seen(person, answer):
    """The answer as the view object, over REST, and on its conversation's page."""
    client = Client()
    client.force_login(person)
    view = services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))
    rest = client.get(f"/api/v1/answers/{answer.pk}/").json()
    page = client.get(f"/conversations/{answer.conversation_id}/").content.decode()
    return view, rest, page


def valid_until(company, people, day):
    documents.update_document(actor=people.administrator, document=company.travel, valid_until=day)


@pytest.mark.parametrize(("days", "over"), [(-1, True), (0, False), (1, False)])
def test_a_citation_says_that_its_document_has_expired_since(company, people, days, over):
    answer = asked(people.employee, GERMANY)
    until = timezone.localdate() + timedelta(days=days)
    valid_until(company, people, until)
    view, rest, page = seen(people.employee, answer)
    assert view.text
    assert {citation.expired for citation in view.citations} == {until if over else None}
    assert {citation["expired"] for citation in rest["citations"]} == {until.isoformat() if over else None}
    assert view.outdated is over
    assert ("no longer valid" in page) is over
    assert ("Ask again to hear what the documents say now" in page) is over


def test_an_answer_asked_now_does_not_quote_the_expired_document(company, people):
    valid_until(company, people, timezone.localdate() - timedelta(days=1))
    answer = asked(people.employee, GERMANY)
    assert not answer.citations.filter(document=company.travel).exists()


def test_a_citation_says_that_its_document_has_a_newer_version(company, people):
    answer = asked(people.employee, GERMANY)
    view, rest, page = seen(people.employee, answer)
    assert not view.outdated
    assert "newer version" not in page
    version = DocumentVersion.objects.create(
        document=company.travel, number=2, filename="travel.txt", size=1, sha256="1" * 64, status=Status.READY
    )
    Document.objects.filter(pk=company.travel.pk).update(current=version)
    view, rest, page = seen(people.employee, answer)
    assert view.text == answer.text
    assert view.outdated
    assert all(citation["newer"] for citation in rest["citations"])
    assert "This document has a newer version since." in page


def test_an_answer_is_withheld_once_its_document_is_deleted(company, people):
    answer = asked(people.employee, GERMANY)
    assert ALLOWANCE in seen(people.employee, answer)[2]
    documents.delete(actor=people.administrator, document=company.travel)
    view, rest, page = seen(people.employee, answer)
    assert (view.withheld, view.reason, view.text, view.citations) == (True, "deleted", "", ())
    assert (rest["text"], rest["citations"], rest["reason"]) == ("", [], "deleted")
    assert ALLOWANCE not in page
