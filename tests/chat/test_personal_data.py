"""Personal data in answers: while they stream, finished, seen again under another policy, and in a model's prompt.
Numbers here belong to nobody."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from assistant.accounts.roles import Role
from assistant.chat import answering, material, services, streaming
from assistant.chat.models import Answer, Outcome
from assistant.documents import services as documents
from assistant.guardrails import masking
from inference.engines.base import Delta, Evidence, Finish
from tests.telling import told

from . import library
from .engines import ScriptedModel
from .library import streamed

CARD, PHONE = "4111 1111 1111 1111", "13812345678"
REFUNDS = [
    f"Refunds\n\nRefunds of the Lisbon office are paid to the card {CARD} within five days.\n"
    "Refunds of the Porto office are paid in cash at the desk."
]
DESK = [f"Desk\n\nThe help desk of the Lisbon office is called under {PHONE} at any time of the day."]
QUESTION = "Within how many days are refunds of the Lisbon office paid?"


@pytest.fixture
def refunds(transactional_db, people):
    return library.write_document(library.collection("refunds", "everyone"), "Refunds", REFUNDS)


@pytest.fixture
def desk(refunds):
    return library.write_document(library.collection("desk", "everyone"), "Desk", DESK)


def treat(people, document, treatment: str, **more):
    return documents.set_personal_data_policy(
        actor=people.administrator,
        collection=document.collection,
        treatments=dict.fromkeys(Role.values, "show") | {"employee": treatment},
        **more,
    )


def shown(person, answer):
    return services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))


def everything(view) -> str:
    return json.dumps(view.as_dict(), default=str, ensure_ascii=False)


def test_a_quoted_answer_is_masked_in_the_stream_in_the_row_and_in_every_citation(refunds, people):
    treat(people, refunds, "mask")
    answer = library.asked(people.employee, QUESTION)
    view = shown(people.employee, answer)
    assert view.outcome == Outcome.ANSWERED
    assert "paid to the card ⟨CARD⟩ within five days" in view.text
    assert view.sentences[0].verified
    assert not view.citations[0].whole
    assert "1111" not in told(everything(view) + json.dumps(streamed(answer), ensure_ascii=False))
    assert "1111" not in told(answer.text + str(answer.sentences) + answer.citations.first().quote)
    other = library.asked(people.curator, QUESTION)
    assert CARD in shown(people.curator, other).text
    assert shown(people.curator, other).citations[0].whole


def test_the_place_of_a_masked_quotation_is_that_of_the_page(refunds, people):
    treat(people, refunds, "mask")
    first = shown(people.employee, library.asked(people.employee, QUESTION)).citations[0]
    page = refunds.current.pages.get().text
    assert page[first.char_start : first.char_end] == first.quote.replace("⟨CARD⟩", CARD)


@pytest.mark.parametrize(
    ("treatment", "there"), [("mask", r"⟨CARD⟩"), ("pseudonymise", r"⟨CARD-[0-9a-f]{10}⟩"), ("refuse", None)]
)
def test_an_answer_from_before_follows_the_policy_of_now(refunds, people, treatment, there):
    answer = library.asked(people.employee, QUESTION)
    assert CARD in shown(people.employee, answer).text
    treat(people, refunds, treatment)
    view = shown(people.employee, answer)
    assert "1111" not in told(everything(view))
    if there is None:
        assert (view.withheld, view.reason, view.citations) == (True, "personal_data", ())
    else:
        assert re.search(there, view.text)
        assert re.search(there, view.citations[0].quote)
        assert re.search(there, view.citations[0].paragraph)
    treat(people, refunds, "show")
    assert CARD in shown(people.employee, answer).text


def test_the_stream_of_an_answer_from_before_is_not_given_to_late_readers(refunds, people):
    answer = library.asked(people.employee, QUESTION)

    def followed() -> str:
        async def read() -> list[streaming.Event]:
            return [event async for event in streaming.follow(actor=people.employee, answer_id=answer.pk)]

        return json.dumps([event.data for event in asyncio.run(read())], default=str, ensure_ascii=False)

    assert CARD in followed()
    treat(people, refunds, "mask")
    assert "1111" not in told(followed())
    assert "⟨CARD⟩" in followed()


def test_the_strictest_policy_holds_for_what_draws_on_several_collections(refunds, desk, people):
    treat(people, desk, "mask")  # the collection of refunds shows everything
    both = "Within how many days are refunds of the Lisbon office paid? When can the help desk of Lisbon be called?"
    engine = Echo([])
    view = shown(people.employee, library.asked(people.employee, both, tools=with_engine(engine)))
    assert "1111" not in told(prompt_of(engine) + everything(view))
    quoting = shown(people.employee, library.asked(people.employee, both))
    cited = {item.collection for item in quoting.citations}
    assert (CARD in quoting.text) == (cited == {"refunds"})
    assert PHONE not in everything(quoting)
    alone = shown(people.employee, library.asked(people.employee, QUESTION, collections=["refunds"]))
    assert CARD in alone.text


def test_passages_are_put_under_one_rule_with_their_evidence_in_place(refunds, desk, people):
    treat(people, desk, "mask")
    report = answering.tools().searcher.search(
        user=people.employee, text="Lisbon office refunds help desk", collections=[], limit=10, per_document=3
    )
    found = tuple(report.passages)
    assert {item.chunk.document_id for item in found} == {refunds.pk, desk.pk}
    passages = tuple(material.passage_of(item) for item in found)
    number = next(at for at, item in enumerate(found) if item.chunk.document_id == refunds.pk)
    start = passages[number].text.index("Refunds of the Porto")
    given = material.Material(found, passages, (Evidence(number, start, len(passages[number].text), 1.0),))
    strict, rule = material.under_one_rule(people.employee, given)
    assert rule.treatment == "mask"
    item = strict.evidence[0]
    text = strict.passages[number].text
    assert "1111" not in told(text)
    assert text[item.char_start : item.char_end] == "Refunds of the Porto office are paid in cash at the desk."


def test_what_only_refused_passages_say_is_refused_in_words(refunds, people):
    treat(people, refunds, "refuse")
    view = shown(people.employee, library.asked(people.employee, QUESTION))
    assert (view.text, view.citations) == ("", ())
    assert (view.outcome, view.reason) == (Outcome.REFUSED, "personal_data")


@dataclass
class Echo(ScriptedModel):
    """A model that repeats the first sentence it reads that holds a pseudonym or mask, a character at a time."""

    def stream(self, request, *, cancelled) -> Iterator[Delta | Finish]:
        self.requests.append(request)
        prompt = request.messages[-1].content
        found = re.search(r"[^.\n]*⟨[^⟩]+⟩[^.\n]*\.", prompt)
        said = found[0].strip() if found else "The documents do not say."
        for character in f"{said} [1]":
            yield Delta("text", character)
        yield Finish("stop", prompt_tokens=1, completion_tokens=1)


def with_engine(engine) -> answering.Tools:
    return replace(answering.tools(), engine=engine)


def prompt_of(engine: ScriptedModel) -> str:
    return json.dumps([message.content for message in engine.requests[-1].messages], ensure_ascii=False)


def test_a_model_reads_pseudonyms_and_those_who_may_see_get_the_values_back_whole(refunds, people):
    treat(people, refunds, "show", disguise=True)
    engine = Echo([])
    answer = library.asked(people.employee, f"Is {CARD} the card of Lisbon's refunds?", tools=with_engine(engine))
    assert "1111" not in told(prompt_of(engine))
    assert len(set(masking.PLACEHOLDER.findall(prompt_of(engine)))) == 1  # the question's number is the document's
    view = shown(people.employee, answer)
    assert CARD in view.text
    assert view.sentences[0].verified
    pieces = [data["text"] for event, data in streamed(answer) if event == "delta"]
    assert "".join(pieces) == view.text
    assert not any("⟨" in piece for piece in pieces)


@pytest.mark.parametrize("treatment", ["mask", "pseudonymise"])
def test_a_model_never_reads_what_the_asker_may_not_see(refunds, people, treatment):
    treat(people, refunds, treatment)
    engine = Echo([])
    answer = library.asked(people.employee, QUESTION, tools=with_engine(engine))
    assert "1111" not in told(prompt_of(engine))
    text, said = "", shown(people.employee, answer).text
    for event, data in streamed(answer):  # no prefix shows a digit of the number
        text += data["text"] if event == "delta" else ""
        assert "1111" not in told(text)
    assert text == said
    assert "⟨CARD" in said


def test_an_earlier_answer_enters_a_later_prompt_under_the_policy_of_now(refunds, people):
    answer = library.asked(people.employee, QUESTION)
    treat(people, refunds, "mask")
    engine = Echo([])
    library.asked(people.employee, "And of Porto?", tools=with_engine(engine), conversation_id=answer.conversation_id)
    assert engine.requests
    assert "1111" not in told(prompt_of(engine))


def test_an_export_of_a_person_follows_the_policy(refunds, people):
    from assistant.chat import persons

    library.asked(people.employee, QUESTION)
    treat(people, refunds, "mask")
    export = persons.export_person(actor=people.employee, user=people.employee)
    assert "1111" not in told(json.dumps(export, default=str))
    assert Answer.objects.count() == 1
