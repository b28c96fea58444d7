"""A running answer in a real browser, over a real ASGI server and a real Redis stream; this test plays the worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from assistant import health
from assistant.chat.models import Answer
from assistant.chat.streaming import Publisher

from .browser import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture
def page(window) -> Iterator[Page]:
    """The employee's window on the conversation of a question that has just been asked."""
    found = window.go("/")
    found.locator("#id_question").fill("How much is the allowance?")
    found.keyboard.press("Enter")
    found.wait_for_url("**/conversations/**")
    yield found
    assert window.complaints == []


def begin(answer: Answer, document_id: str) -> Publisher:
    Answer.objects.filter(pk=answer.pk).update(status="processing", lease_until=timezone.now())
    publisher = Publisher(answer.pk)
    source = {"marker": 1, "document": document_id, "title": "Travel policy", "collection": "handbook", "page": 1}
    publisher.publish("status", {"status": "processing", "position": None})
    publisher.publish("sources", [source])
    return publisher


def finish(answer: Answer, publisher: Publisher, text: str) -> None:
    answer.refresh_from_db()
    answer.status, answer.outcome, answer.text, answer.finished_at = "done", "answered", text, timezone.now()
    answer.sentences = [[text, [1], True, 0]]
    answer.save()
    publisher.done("answered")


def test_text_streams_as_text_and_the_end_is_announced_once(page, library):
    answer = Answer.objects.get()
    publisher = begin(answer, str(library.policy.pk))
    publisher.publish("delta", {"text": "The allowance is <b>28 euros</b> [1]"})
    stream = page.locator("[data-role=text]")
    expect(stream).to_have_text("The allowance is <b>28 euros</b> [1]")  # markup in model text is text
    expect(stream.locator("a.marker")).to_have_attribute("href", f"#answer-{answer.pk}-s1")
    expect(page.locator(".source")).to_contain_text("Travel policy")
    publisher.publish("delta", {"text": ".\n\n- one\n- two"})
    expect(stream.locator("li")).to_have_count(2)
    expect(page.locator("#announcer")).to_be_empty()
    finish(answer, publisher, "The allowance is <b>28 euros</b>.")
    expect(page.locator(".answer-text p")).to_contain_text("<b>28 euros</b>")
    expect(page.locator("#announcer")).to_contain_text("The answer is ready")
    assert not page.title().startswith("…")


def test_a_new_attempt_takes_back_what_the_first_one_wrote(page, library):
    answer = Answer.objects.get()
    publisher = begin(answer, str(library.policy.pk))
    publisher.publish("delta", {"text": "Half an answer"})
    expect(page.locator("[data-role=text]")).to_have_text("Half an answer")
    publisher.publish("status", {"status": "processing", "position": None})
    expect(page.locator("[data-role=text]")).to_be_empty()


def test_stop_ends_a_waiting_answer_on_the_spot(page):
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("You stopped this answer.")).to_be_visible()
    assert Answer.objects.get().outcome == "cancelled"


def test_that_nobody_can_answer_is_told_and_taken_back_when_somebody_can(page):
    status = page.locator("[data-role=status]")
    expect(status).to_contain_text("is not running at this moment. Your question is kept")
    health.beat("answers", seconds=600, facts={"replica_ready": True})
    expect(status).to_have_text("Waiting for a free place")
    page.reload()
    expect(status).to_have_text("Waiting for a free place")
