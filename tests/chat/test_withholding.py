"""UNSUPPORTED_SENTENCES=withhold: what no passage supports is in no stream, no row and no view."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.audit.models import AuditEvent
from assistant.chat import answering, citations, services
from assistant.chat.models import Outcome
from assistant.chat.withholding import Sieve
from inference.engines.base import Delta

from .engines import ScriptedModel
from .library import asked, streamed

GERMANY = "What is the meal allowance in Germany?"


@pytest.fixture(autouse=True)
def _withhold(settings):
    settings.UNSUPPORTED_SENTENCES = "withhold"


def answered(person, script):
    answer = asked(person, GERMANY, tools=replace(answering.tools(), engine=ScriptedModel(script)))
    return answer, services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))


def test_unsupported_sentences_are_nowhere_and_counted(company, people):
    script = [
        Delta("thinking", "Zebras come first. "),
        "In Germany you get 28 euros ",
        "per day for meals [1]. In Uto",
        "pia it is 50 euros per day [1].\n\nThe allowance is paid twice. The meal allowance in Germany",
        " is 28 euros per day [1].",
        " Enjoy!",
    ]
    answer, view = answered(people.employee, script)
    first, second = view.sentences
    assert (first.text, first.markers, first.verified) == ("In Germany you get 28 euros per day for meals.", (1,), True)
    assert second.text == "The meal allowance in Germany is 28 euros per day."
    assert (second.verified, second.breaks, view.unsupported, view.thinking) == (True, 2, 3, "")
    pieces = streamed(answer)
    everywhere = json.dumps([pieces, view.as_dict(), answer.text, answer.thinking, answer.sentences], default=str)
    assert "28 euros" in everywhere
    assert not any(word in everywhere for word in ("Utopia", "twice", "Enjoy", "Zebras"))
    assert "".join(data["text"] for event, data in pieces if event == "delta") == view.text
    assert AuditEvent.objects.filter(target_id=str(answer.pk)).latest("seq").detail["unsupported"] == 3


def test_an_answer_without_a_supported_sentence_is_not_shown(company, people):
    _, view = answered(people.employee, ["In France it is 50 euros per day [1]. It always was."])
    assert (view.outcome, view.reason, view.text, view.citations) == (Outcome.NOT_FOUND, "unsupported", "", ())
    _, view = answered(people.employee, ["The documents do not say."])
    assert (view.outcome, view.reason) == (Outcome.NOT_FOUND, "no_evidence")


def test_quotations_come_as_ever(company, people):
    view = services.present(actor=people.employee, answer=asked(people.employee, GERMANY))
    assert view.text.startswith("The meal allowance in Germany is 28 euros per day. [1]")
    assert view.unsupported == 0


SENTENCES = st.lists(
    st.tuples(
        st.sampled_from(["The fee is 3 euros", "Nobody knows", "年假为十天"]),
        st.booleans(),
        st.sampled_from([" ", "\n", "\n\n"]),
    ),
    max_size=6,
)


@given(SENTENCES, st.integers(1, 7))
def test_however_it_is_cut_the_same_sentences_come_through(parts, size):
    """A sentence with a marker is supported; what comes out splits into exactly those, each with its marker."""
    text = "".join(
        f"{words}{' [1]' if kept else ''}{'。' if words[0] == '年' else '.'}{gap}" for words, kept, gap in parts
    )
    sieve = Sieve(lambda sentence: bool(sentence.markers))
    shown = "".join(sieve.feed(text[at : at + size]) for at in range(0, len(text), size)) + sieve.feed("", last=True)
    wanted = [item for item in citations.split(text, quoted=False) if item.markers]
    assert [(item.text, item.markers) for item in citations.split(shown, quoted=False)] == [
        (item.text, item.markers) for item in wanted
    ]
    assert sieve.withheld == len(citations.split(text, quoted=False)) - len(wanted)
