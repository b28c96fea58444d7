"""The strong wall: three hundred hostile answers in a real Chromium, finished, streamed, and cut at every character.
Nothing is requested, nothing runs, no element appears that our pages do not make, and the text is shown as text."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from assistant.accounts.models import User
from assistant.chat import citations
from assistant.chat.models import Answer, Citation, Conversation
from assistant.chat.streaming import Publisher
from assistant.documents.models import Document

from .browser import CHROMIUM, Visit
from .conftest import QUOTE
from .hostile import ANSWERS, EVIL, PAYLOADS
from .test_streaming import begin

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

WATCH = Path(__file__).with_name("watch.js")
EXPECTED = re.compile(r"/conversations/[0-9a-f-]{36}/|/static/web/[\w./-]+|/api/v1/answers/[0-9a-f-]{36}/events/")
CONVERSATIONS = 3  # each with a third of the answers
SPACE = re.compile(r"[\s\ufeff]+")  # what JavaScript and Python call space
SIGN = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)、])\s+", re.MULTILINE)
MARKER = re.compile(r"[ \t]*\[\d{1,3}\]")  # with the space before it, which goes with it
SHOWN = """boxes => boxes.map(box => {
    const copy = box.cloneNode(true);
    for (const ours of copy.querySelectorAll('.marker, .unverified-note')) ours.remove();
    return copy.textContent;
})"""
EVERY_PREFIX = """async texts => {
    const { blocks } = await import('/static/web/js/prose.js');
    const box = document.createElement('div');
    box.className = 'answer-text';
    document.querySelector('main').append(box);
    const bare = text => text.replace(/^\\s*(?:[-*•]|\\d{1,3}[.)、])\\s+/gm, '').replace(/\\s+/g, '');
    let drawn = 0;
    const wrong = [];
    for (const text of texts) for (let end = 0; end <= text.length; end++) {
        const prefix = text.slice(0, end);
        box.replaceChildren(...blocks(prefix, 'answer-00000000-0000-0000-0000-000000000000'));
        watch.inspect(box);
        if (bare(box.textContent) !== bare(prefix)) wrong.push(prefix);
        drawn += 1;
    }
    return [drawn, wrong];
}"""


@dataclass
class Watched:
    """A window whose page tells what hostile text did to it, and which requests left it."""

    window: Visit
    asked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        return self.window.go(path)

    def harm(self) -> dict[str, list[str]]:
        """What should not be, by kind; empty when the wall held."""
        page = self.window.page
        page.evaluate("watch.inspect(document.documentElement)")
        told = page.evaluate("({ran: watch.ran, stopped: watch.violations, foreign: watch.foreign})")
        told |= {"dialogs": self.dialogs, "opened": self.opened, "complaints": self.window.complaints}
        told["requested"] = [address for address in self.asked if not self._ours(address)]
        told["frames"] = [frame.url for frame in page.frames[1:]]
        return {kind: found for kind, found in told.items() if found}

    def forget(self) -> None:
        for noted in (self.asked, self.dialogs, self.opened, self.window.complaints):
            noted.clear()

    def _ours(self, address: str) -> bool:
        return address.startswith(self.window.base + "/") and bool(EXPECTED.fullmatch(urlsplit(address).path))


@pytest.fixture
def watched(window) -> Watched:
    """The employee's window, with the watch in every page that it opens."""
    found = Watched(window)
    context, page = window.context, window.page
    context.add_init_script(path=WATCH)
    context.on("request", lambda request: found.asked.append(request.url))
    context.on("page", lambda other: found.opened.append(other.url))
    page.on("websocket", lambda socket: found.opened.append(socket.url))
    page.on("download", lambda download: found.opened.append(download.url))
    page.on("dialog", lambda dialog: (found.dialogs.append(dialog.message), dialog.dismiss()))
    return found


def bare(text: str) -> str:
    """The text without the signs that open the entries of lists, and without space."""
    return SPACE.sub("", SIGN.sub("", text))


def payload_of(number: int) -> str:
    return PAYLOADS[number // (len(ANSWERS) // len(PAYLOADS))]


def save(owner: User, document: Document, conversation: Conversation, number: int) -> Answer:
    """A finished answer whose text, thinking, question, source and quotation are hostile."""
    text, payload = ANSWERS[number], payload_of(number)
    answer = Answer(conversation=conversation, owner=owner, question=payload, status="done", outcome="answered")
    answer.words_of = [document.pk]
    answer.text, answer.thinking, answer.finished_at = text, text, timezone.now()
    answer.sentences = [
        [sentence.text, sentence.markers, number % 2 == 0, sentence.breaks]
        for sentence in citations.split(text, quoted=False)
    ]
    answer.save()
    answer.rests_on.add(document)
    quoted = {"title": payload, "quote": payload, "page": 1, "char_start": 0, "char_end": len(QUOTE)}
    Citation.objects.create(
        answer=answer, marker=1, document=document, version=document.current, verified=number % 2 == 0, **quoted
    )
    return answer


def test_finished_answers_request_nothing_run_nothing_and_are_shown_as_text(watched, people, library):
    assert len(ANSWERS) == len(set(ANSWERS)) == 300
    size = len(ANSWERS) // CONVERSATIONS
    for first in range(0, len(ANSWERS), size):
        conversation = Conversation.objects.create(owner=people.employee, title=ANSWERS[first])
        numbers = range(first, first + size)
        saved = [save(people.employee, library.policy, conversation, number) for number in numbers]
        page = watched.go(f"/conversations/{conversation.pk}/")
        shown = page.locator(".answer-text").evaluate_all(SHOWN)
        assert [bare(text) for text in shown] == [bare(MARKER.sub("", answer.text)) for answer in saved]
        assert [bare(text) for text in page.locator("h2.question").all_text_contents()] == [
            bare(answer.question) for answer in saved
        ]
        assert [bare(text) for text in page.locator("p.thinking-text").all_text_contents()] == [
            bare(answer.thinking) for answer in saved
        ]
        assert page.locator(".answer-text a:not([href^='#answer-'])").count() == 0
        for opener in page.locator("details:not(.menu) > summary").all()[:6]:
            opener.click()
        assert watched.harm() == {}


def test_streamed_answers_request_nothing_run_nothing_and_are_text_at_every_piece(watched, people, library):
    conversation = Conversation.objects.create(owner=people.employee, title="Hostile")
    answer = Answer.objects.create(conversation=conversation, owner=people.employee, question="What is the allowance?")
    page = watched.go(f"/conversations/{conversation.pk}/")
    page.evaluate("watch.drawAtOnce()")
    publisher = begin(answer, str(library.policy.pk))
    expected: list[str] = []
    for number, text in enumerate(ANSWERS):
        expected += stream(publisher, text, payload_of(number), str(library.policy.pk))
    for _ in range(600):
        if page.evaluate("watch.draws") >= len(expected):
            break
        page.wait_for_timeout(50)
    assert [bare(text) for text in page.evaluate("watch.shown")] == [bare(text) for text in expected]
    assert watched.harm() == {}


def stream(publisher: Publisher, text: str, payload: str, document: str) -> list[str]:
    """One attempt at the answer, in pieces of one to eleven characters; what is to be seen after each."""
    publisher.publish("status", {"status": "processing", "position": None})
    source = {"marker": 1, "document": document, "title": payload, "collection": payload, "page": 1}
    publisher.publish("sources", [source])
    publisher.publish("thinking", {"text": text})
    seen: list[str] = []
    sizes = itertools.cycle((3, 11, 1, 7, 5))
    at = 0
    while at < len(text):
        piece = text[at : at + next(sizes)]
        at += len(piece)
        publisher.publish("delta", {"text": piece})
        seen.append(text[:at])
    return seen


def test_at_every_single_character_a_streamed_answer_is_paragraphs_lists_and_markers(watched, people, answered):
    page = watched.go(f"/conversations/{answered.conversation_id}/")
    drawn, wrong = page.evaluate(EVERY_PREFIX, ANSWERS)
    assert wrong == []
    assert drawn == sum(len(text.encode("utf-16-le")) // 2 + 1 for text in ANSWERS)
    assert watched.harm() == {}


GOT_THROUGH: list[tuple[str, set[str]]] = [
    (f"<img src='{EVIL}/p.png'>", {"foreign", "stopped", "complaints"}),
    ("<img src='/accounts/logout/'>", {"foreign", "requested"}),
    ("<img src=x onerror=canary()>", {"foreign", "stopped"}),
    (f"<a href='{EVIL}/c'>Open</a>", {"foreign"}),
    ("<a class=marker href='javascript:canary()'>[1]</a>", {"foreign"}),
    ("<b>bold</b>", {"foreign"}),
    ("<svg onload=canary()></svg>", {"foreign"}),
    ("<iframe srcdoc='x'></iframe>", {"foreign", "frames"}),
    ("<p onclick=canary()>x</p>", {"foreign"}),
    ("<p dir=auto>The allowance is 28 euros.</p>", set()),
]


def test_the_watch_itself_finds_what_got_through(watched, answered):
    for markup, told in GOT_THROUGH:
        page = watched.go(f"/conversations/{answered.conversation_id}/")
        assert watched.harm() == {}
        page.locator(".answer-text").evaluate("(box, markup) => { box.innerHTML = markup; }", markup)
        page.wait_for_timeout(100)
        found = set(watched.harm())
        assert told <= found, markup
        assert bool(told) == bool(found), markup
        watched.forget()
    page.evaluate("canary(1); 0")
    assert set(watched.harm()) >= {"ran"}
