"""The ask page, answers with their sources, and private conversations: complete without script."""

from __future__ import annotations

import re
from html import unescape
from uuid import uuid4

import pytest

from assistant.chat.models import Answer, Conversation, Feedback
from assistant.documents.models import Grant, Scope

from .conftest import QUOTE, TEXT, make_answer, make_collection

pytestmark = pytest.mark.django_db


def test_home_asks_to_sign_in_first(client):
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/"


def test_home_offers_examples_from_readable_documents_only(as_person, people, library):
    body = as_person(people.outsider).get("/").content.decode()
    assert "Secret minutes" not in body
    assert "holiday" in body or "Travel policy" in body


def test_home_without_anything_readable_says_whom_to_ask(as_person, people):
    body = as_person(people.employee).get("/").content.decode()
    assert "There is nothing yet that you can read" in body


def test_question_opens_its_conversation_at_the_answer(as_person, people, library):
    response = as_person(people.employee).post("/", {"question": "How much is the allowance?"})
    answer = Answer.objects.get()
    assert response.status_code == 302
    assert response["Location"] == f"/conversations/{answer.conversation_id}/#answer-{answer.pk}"


def test_empty_question_is_told_at_the_field_and_what_was_chosen_stays(as_person, people, library):
    response = as_person(people.employee).post("/", {"question": "  ", "collections": ["handbook"]})
    assert response.status_code == 400
    assert "There is a problem" in response.content.decode()


def test_running_answer_reloads_itself_without_script_and_can_be_stopped(as_person, people, library):
    client = as_person(people.employee)
    response = client.post("/", {"question": "How much is the allowance?"}, follow=True)
    body = response.content.decode()
    assert '<noscript><meta http-equiv="refresh"' in body
    answer = Answer.objects.get()
    client.post(f"/answers/{answer.pk}/stop/")
    answer.refresh_from_db()
    assert answer.outcome == "cancelled"


def test_answer_shows_text_markers_sources_and_marks_what_was_not_confirmed(as_person, people, answered):
    body = as_person(people.employee).get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert f"<mark>{QUOTE}</mark>" in body
    assert f'href="#answer-{answered.pk}-s1"' in body
    assert f'id="answer-{answered.pk}-s1"' in body
    assert '<span class="unverified">It rises next year.</span>' in body
    assert "Receipts are kept" in body  # the paragraph around the quotation


def quoted_too(answer, words):
    """The answer's citation once more, of other words of the same page."""
    citation = answer.citations.first()
    citation.pk, citation.quote, citation.char_start = None, words, TEXT.index(words)
    citation.char_end = citation.char_start + len(words)
    citation.ordinal = 1
    citation.save(force_insert=True)


def opened(client, answer):
    """The pages that its sources open, each with the words marked there, in order."""
    body = client.get(f"/conversations/{answer.conversation_id}/").content.decode()
    links = re.findall(r'href="([^"#]*)#quote">Open the page', body)
    return [re.findall(r"<mark[^>]*>([^<]*)</mark>", client.get(unescape(link)).content.decode()) for link in links]


def test_quotations_that_stand_together_are_shown_once_and_their_page_marks_each(as_person, people, answered):
    second = "Receipts are kept for ten years."
    quoted_too(answered, second)
    client = as_person(people.employee)
    body = client.get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert f"<mark>{QUOTE}</mark> <mark>{second}</mark>" in body
    assert body.count("<blockquote") == 1
    assert opened(client, answered) == [[QUOTE, second]]


def test_quotations_of_two_paragraphs_each_open_the_page_at_their_own_sentence(as_person, people, answered):
    quoted_too(answered, "Ask the travel desk.")
    assert opened(as_person(people.employee), answered) == [[QUOTE], ["Ask the travel desk."]]


def test_model_text_is_escaped(as_person, people, library):
    answer = make_answer(people.employee, library.policy)
    answer.sentences = [["<script>alert(1)</script>", [1], True, 0]]
    answer.save()
    body = as_person(people.employee).get(f"/conversations/{answer.conversation_id}/").content.decode()
    assert "<script>alert(1)" not in body
    assert "&lt;script&gt;alert(1)" in body


def test_answer_is_withheld_once_its_document_cannot_be_read(as_person, people, answered, library):
    Grant.objects.filter(scope=library.policy.scope).delete()
    body = as_person(people.employee).get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert QUOTE not in body
    assert "no longer read" in body


@pytest.mark.parametrize("outcome", ["answered", "not_found"])
def test_page_and_rest_say_what_else_was_searched_for(as_person, people, answered, library, outcome):
    at = TEXT.index("allowance")
    place = {"chunk": library.policy.chunks.get().pk, "part": 1, "start": at, "end": at + len("allowance")}
    answered.evidence["also"] = [place]
    answered.outcome = outcome
    answered.save()
    client = as_person(people.employee)
    assert "Also searched for: allowance." in client.get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert client.get(f"/api/v1/answers/{answered.pk}/").json()["also"] == ["allowance"]
    Grant.objects.filter(scope=library.policy.scope).delete()
    assert "Also searched" not in client.get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert client.get(f"/api/v1/answers/{answered.pk}/").json()["also"] == []


@pytest.mark.parametrize("persona", ["curator", "auditor", "administrator", "outsider"])
def test_nobody_else_sees_a_conversation(as_person, people, answered, persona):
    client = as_person(getattr(people, persona))
    missing = client.get(f"/conversations/{uuid4()}/")
    other = client.get(f"/conversations/{answered.conversation_id}/")
    assert other.status_code == missing.status_code == 404
    assert str(answered.conversation) not in client.get("/conversations/").content.decode()


def test_follow_up_joins_the_conversation(as_person, people, answered):
    as_person(people.employee).post(f"/conversations/{answered.conversation_id}/", {"question": "And in Germany?"})
    assert answered.conversation.answers.count() == 2


@pytest.fixture
def narrowed(answered, people):
    """The answered question, put to `handbook` alone though `plans` could be read too."""
    scope = Scope.objects.get(collection=make_collection("plans", "Plans"), key="")
    Grant.objects.create(scope=scope, everyone=True, access="reader")
    answered.collections = ["handbook"]
    answered.save()
    return answered


def test_follow_up_begins_with_the_collections_of_the_question_before(as_person, people, narrowed, library):
    client = as_person(people.employee)
    address = f"/conversations/{narrowed.conversation_id}/"
    assert client.get(address).context["form"]["collections"].value() == ["handbook"]
    assert '<details class="more" open>' in client.get(address).content.decode()
    Grant.objects.filter(scope=library.policy.scope).delete()
    assert client.get(address).context["form"]["collections"].value() == []


def test_asking_again_never_widens_a_search_to_what_was_not_chosen(as_person, people, narrowed, library):
    Grant.objects.filter(scope=library.policy.scope).delete()
    response = as_person(people.employee).post(f"/answers/{narrowed.pk}/again/", follow=True)
    assert "You can no longer read the collections that this question was put to." in response.content.decode()
    assert narrowed.conversation.answers.count() == 1


def test_feedback_is_kept_with_its_reason(as_person, people, answered):
    as_person(people.employee).post(f"/answers/{answered.pk}/feedback/", {"good": "no", "reason": "Too old."})
    assert Feedback.objects.get().reason == "Too old."


def test_asking_again_puts_the_same_question(as_person, people, answered):
    as_person(people.employee).post(f"/answers/{answered.pk}/again/")
    assert list(answered.conversation.answers.values_list("question", flat=True)) == [answered.question] * 2


def test_conversations_are_searched_by_title_and_question(as_person, people, answered):
    client = as_person(people.employee)
    assert str(answered.conversation) in client.get("/conversations/", {"q": "allowance"}).content.decode()
    assert "No conversation has these words" in client.get("/conversations/", {"q": "zebra"}).content.decode()


def test_conversation_is_renamed(as_person, people, answered):
    as_person(people.employee).post(f"/conversations/{answered.conversation_id}/rename/", {"title": "Money"})
    assert Conversation.objects.get().title == "Money"


def test_deleted_conversation_can_be_brought_back(as_person, people, answered):
    client = as_person(people.employee)
    body = client.post(f"/conversations/{answered.conversation_id}/delete/", follow=True).content.decode()
    undo = f"/conversations/{answered.conversation_id}/restore/"
    assert undo in body
    assert client.get(f"/conversations/{answered.conversation_id}/").status_code == 404
    assert client.post(undo, follow=True).status_code == 200


def test_changing_actions_do_not_answer_to_links(as_person, people, answered):
    client = as_person(people.employee)
    response = client.get(f"/conversations/{answered.conversation_id}/delete/", follow=True)
    assert response.redirect_chain == [(f"/conversations/{answered.conversation_id}/", 302)]
    assert "Nothing was done. That address belongs to a button: press it again." in response.content.decode()
    assert Conversation.objects.get(pk=answered.conversation_id).deleted_at is None


@pytest.mark.parametrize("fallback", [None, "scripted"])
def test_quotations_in_place_of_a_language_model_say_so(as_person, people, answered, fallback):
    if fallback:
        answered.evidence["fallback"] = fallback
        answered.save()
    client = as_person(people.employee)
    shown = client.get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert ("The language model could not answer." in shown) is bool(fallback)
    assert client.get(f"/api/v1/answers/{answered.pk}/").json()["fallback"] is bool(fallback)
