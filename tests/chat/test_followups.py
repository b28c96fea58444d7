"""Follow-ups made to stand alone, in a table; a change of topic stays clean."""

from __future__ import annotations

import pytest

from assistant.chat.followups import Standalone, Turn, contextualize, key_terms


def follow(question: str, *history: str) -> Standalone:
    return contextualize(question, [Turn(text) for text in history])


@pytest.mark.parametrize(
    ("before", "question", "alone"),
    [
        # another of a kind takes the place of the one before
        ("What is the meal allowance in France?", "And in Germany?", "What is the meal allowance in Germany?"),
        ("What is the meal allowance in France?", "What about Germany?", "What is the meal allowance in Germany?"),
        ("What is the meal allowance in France?", "Germany?", "What is the meal allowance in Germany?"),
        ("How many days do employees get?", "What about contractors?", "How many days do contractors get?"),
        ("What does the TFC 65 cost?", "And the TFC 80?", "What does the TFC 80 cost?"),
        ("How many holidays were there in 2025?", "and 2026?", "How many holidays were there in 2026?"),
        ("What is the salary range for band E4?", "and for E5?", "What is the salary range for band E5?"),
        ("法国的出差餐补是多少？", "那德国呢？", "德国的出差餐补是多少？"),
        ("法国的出差餐补是多少？", "德国？", "德国的出差餐补是多少？"),
        ("去上海出差的住宿标准是多少？", "那北京呢？", "去北京出差的住宿标准是多少？"),
        ("正式员工有多少天年假？", "实习生呢？", "实习生有多少天年假？"),
        ("How many holidays are there in Brno?", "And in Rotterdam?", "How many holidays are there in Rotterdam?"),
        ("Which EPDM kit fits the TFC 100?", "And for the TFC 150 in FKM?", "Which FKM kit fits the TFC 150?"),
        # a fragment joins the last question
        ("What is the meal allowance?", "and in Germany?", "What is the meal allowance in Germany?"),
        ("How many vacation days do I get?", "for contractors?", "How many vacation days do I get for contractors?"),
        ("年假有多少天？", "实习生呢？", "实习生：年假有多少天？"),
        # a pointer takes the key terms along
        ("How do I claim travel expenses?", "How long does it take?", "How long does it take? (claim travel expenses)"),
        ("What does the TFC 65 cost?", "What is its delivery time?", "What is its delivery time? (TFC 65 cost)"),
        ("Who audits the suppliers?", "How often?", "How often? (audits suppliers)"),
        ("Who audits the suppliers?", "Why?", "Why? (audits suppliers)"),
        ("What is the meal allowance?", "And who approves it?", "And who approves it? (meal allowance)"),
        ("How is leave bought?", "How soon do I apply for that?", "How soon do I apply for that? (leave bought)"),
        ("What was offered?", "What is the limit of that offer?", "What is the limit of that offer? (offered)"),
        ("年假可以结转吗？", "要在什么日期之前用掉？", "要在什么日期之前用掉？ (年假 结转)"),
        ("TFC 65泵的流量是多少？", "它的价格是多少？", "它的价格是多少？ (TFC 65泵 流量)"),
        ("年假可以结转到第二年吗？", "最多几天？", "最多几天？ (年假 结转到第二年)"),
        ("年假可以结转到次年吗？", "这个规定何时开始执行？", "这个规定何时开始执行？ (年假 结转到次年)"),
        ("去上海出差的住宿标准是多少？", "谁批准？", "谁批准？ (去上海出差 住宿标准)"),
    ],
)
def test_follow_up_stands_alone(before, question, alone):
    assert follow(question, before).question == alone


@pytest.mark.parametrize(
    "question",
    [
        "Who approves investments above 80,000 euros?",
        "How long is the warranty of the pump controller?",
        "How long does it take to get a parking permit?",
        "Is it allowed to smoke in the office?",
        "Is there a canteen in Leipzig?",
        "What documents must be attached to an invoice?",
        "Does the hotel allowance include breakfast or do I pay for it?",
        "So what is the notice period for permanent employees in the contract?",
        "What is the policy that applies to visitors of the plant?",
        "Which torque do the casing bolts of the TFC 100 need?",
        "去上海出差的住宿标准是多少？",
        "应该向谁报告信息安全事件？",
        "其他城市的住宿标准是多少？",
        "D3计量泵的隔膜多久需要更换？",
        "员工应该如何申请年假？",
    ],
)
def test_question_that_stands_alone_is_left_untouched(question):
    for before in ("What is the meal allowance in France?", "法国的出差餐补是多少？"):
        found = follow(question, before)
        assert (found.question, found.rewritten) == (question, False)
        assert found.search.startswith(question)


@pytest.mark.parametrize(
    "question",
    [
        "How long is the warranty of the pump controller in years?",
        "What documents must be attached to an invoice of a supplier?",
        "Which torque do the casing bolts of the TFC 100 need?",
        "Who is Ilse Brandt?",
        "D3计量泵的隔膜多久需要更换？",
    ],
)
def test_search_of_a_question_that_says_enough_is_not_mixed_with_the_last(question):
    for before in ("What is the meal allowance in France?", "法国的出差餐补是多少？"):
        assert follow(question, before).search == question


def test_first_question_is_left_untouched():
    assert follow("And in Germany?") == Standalone("And in Germany?", "And in Germany?", False)


def test_chain_of_follow_ups_builds_on_the_standalone_form():
    second = follow("And in Germany?", "What is the meal allowance in France?")
    third = follow("How long does it take?", "What is the meal allowance in France?", second.question)
    assert third.question == "How long does it take? (meal allowance Germany)"


@pytest.mark.parametrize(
    ("before", "question", "search"),
    [
        ("May I accept presents?", "What is the maximum value?", "What is the maximum value? (accept presents)"),
        ("皮肤碰到化学品怎么办？", "要冲洗多长时间？", "要冲洗多长时间？ (皮肤碰到化学品 办)"),
        (
            "Is there a nursery?",
            "Until when can parents apply for it?",
            "Until when can parents apply for it? Until when can parents apply for it? (nursery)",
        ),
        ("What does alarm A05 mean?", "Who leads the Larkfield project?", "Who leads the Larkfield project?"),
    ],
)
def test_a_question_of_few_words_is_searched_with_the_topic_and_read_as_it_stands(before, question, search):
    assert follow(question, before) == Standalone(question, search, False)


def test_key_terms_drop_the_frame_of_asking():
    assert key_terms("What is the maximum hotel rate per night in Paris?") == "maximum hotel rate night Paris"
    assert key_terms("请问年假有多少天？") == "年假 天"
