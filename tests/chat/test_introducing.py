"""Greetings, thanks and "what can you do?": fixed words, no search, no model, and nothing unreadable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.audit.models import AuditEvent
from assistant.chat import answering, introducing, replay, services
from assistant.chat.models import Outcome
from assistant.documents.models import Document, Grant

from .engines import ScriptedModel
from .library import asked

GREETINGS = ("Hi", "Hello there!", "Good morning, everyone", "你好", "您好！", "在吗？", "hi 👋", "How are you?")
THANKS = ("thanks", "Thank you very much!", "ok thanks", "谢谢你！", "好的，谢谢", "非常感谢", "Bye", "辛苦了")
ABOUT = (
    *(
        "What can you do?",
        "Hello, what can you do?",
        "Who are you?",
        "help",
        "What can I ask you?",
        "How can you help me?",
    ),
    *(
        "你能做什么？",
        "你好，你能做什么？",
        "你是谁",
        "你可以帮我做什么？",
        "请介绍一下你自己",
        "我可以问什么",
        "你有什么功能？",
    ),
)
QUESTIONS = (
    *(
        "Hello, how many vacation days do I have?",
        "你好，年假有几天？",
        "thanks, and in France?",
        "help desk phone number",
    ),
    *(
        "What can you do when a laptop is stolen?",
        "谢谢卡怎么领",
        "How do I use this printer?",
        "早班几点开始",
        "怎么用？",
    ),
    *("How do I use this?", "请介绍一下"),  # what was spoken of before
    *("再见面的时间", "Who are you supposed to call in a fire?", "And in France?", "What can I do?", "", "什么"),
)


class NoSearch:
    def search(self, **_):
        raise AssertionError("a greeting is not searched for")


def view_of(person, answer):
    return services.present(actor=person, answer=services.get_answer(actor=person, answer_id=answer.pk))


@pytest.mark.parametrize(
    ("kind", "said"), [("greeting", GREETINGS), ("thanks", THANKS), ("about", ABOUT), ("", QUESTIONS)], ids=str
)
def test_only_what_is_nothing_but_a_greeting_is_one(kind, said):
    assert {question: introducing.kind(question) for question in said} == dict.fromkeys(said, kind)


@pytest.mark.parametrize(
    "text", ["谢" * 79, "谢谢" * 39, "hi " * 26, "好" * 79, "what can i ask " * 5, "thank you " * 7]
)
def test_repeated_phrases_are_not_cut_in_every_possible_way(text):
    assert introducing.kind(f"{text}x") == ""  # trying all the ways would never end


@pytest.mark.parametrize(
    ("question", "opening", "honest"),
    [
        ("Hello!", "Hello.", "comes from no document"),
        ("Thank you very much", "You are welcome.", "comes from no document"),
        ("你能做什么？", "我是公司的助手。", "不来自任何文档"),
    ],
)
def test_the_answer_is_fixed_says_where_it_comes_from_and_searches_nothing(company, people, question, opening, honest):
    model = ScriptedModel("I know everything.")
    tools = replace(answering.tools(), engine=model, searcher=NoSearch())
    view = view_of(people.employee, asked(people.employee, question, tools=tools))
    assert model.requests == []
    assert (view.outcome, view.reason, view.engine, view.citations) == (
        Outcome.ANSWERED,
        "introduction",
        "template",
        (),
    )
    assert view.text.startswith(opening)
    assert honest in view.text
    assert not any(sentence.verified for sentence in view.sentences)


def test_it_names_what_this_person_can_ask_and_nothing_else(company, people):
    employee = view_of(people.employee, asked(people.employee, "Hi"))
    outsider = view_of(people.outsider, asked(people.outsider, "Hi"))
    assert {item["slug"] for item in employee.evidence["collections"]} == {"handbook", "hr"}
    assert {item["slug"] for item in outsider.evidence["collections"]} == {"handbook"}
    assert "Salary" not in outsider.text
    assert "Hr" not in outsider.text.replace("Handbook", "").split()
    assert outsider.examples
    assert all(f"- {example}" in outsider.text for example in outsider.examples)


@pytest.mark.parametrize("question", ["Hi", "你能做什么？"])
def test_its_sentences_are_its_text(company, people, question):
    view = view_of(people.employee, asked(people.employee, question))
    said = "".join(sentence.text for sentence in view.sentences)
    assert view.examples
    assert "".join(said.split()) == "".join(view.text.split())


def test_what_was_taken_away_or_deleted_since_is_no_longer_named(company, people):
    answer = asked(people.employee, "Hello", collections=["hr"])
    assert view_of(people.employee, answer).examples == ("What are the main points of “Salary Bands”?",)
    Grant.objects.filter(user=people.employee).delete()
    view = view_of(people.employee, answer)
    assert (view.withheld, view.examples, view.evidence["collections"]) == (False, (), [])
    assert "Salary" not in view.text
    assert not Document.objects.filter(answers=answer.pk).exists()  # it rests on none, so none keeps it or takes it


def test_a_person_who_can_read_nothing_is_told_whom_to_ask(transactional_db, people):
    view = view_of(people.outsider, asked(people.outsider, "What can you do?"))
    assert "There is nothing yet that you can read" in view.text
    assert view.examples == ()


def test_it_is_on_record_without_citations_and_replays_the_same(company, people):
    answer = asked(people.employee, "Hello")
    intent, outcome = AuditEvent.objects.filter(target_id=str(answer.pk)).order_by("seq")
    assert (intent.action, outcome.action, outcome.outcome) == ("answer.asked", "answer.shown", "success")
    assert (outcome.detail["cited"], outcome.detail["reason"]) == ([], "introduction")
    assert "retrieved" not in outcome.detail
    assert replay.replay(answer.pk).verdict == "same"


def test_a_follow_up_after_thanks_leads_back_to_the_question(company, people):
    first = asked(people.employee, "What is the meal allowance in Germany?")
    asked(people.employee, "Thanks!", conversation_id=first.conversation_id)
    third = asked(people.employee, "And in France?", conversation_id=first.conversation_id)
    assert third.standalone_question == "What is the meal allowance in France?"
    said = [("user", "What is the meal allowance in Germany?"), ("assistant", "28 euros"), ("user", "Thank you")]
    other = asked(people.employee, "And in France?", context=said)
    assert other.standalone_question == "What is the meal allowance in France?"
