"""The second look lifts the passage where a question's words stand together, and leaves statements alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.reranking import DEPTH, FEATURES, WEIGHTS, features, is_question, order, trained
from retrieval.text import tokenize

QUESTION = "Who approves the travel budget of the sales team?"
TOGETHER = "The travel budget of the sales team is approved by the head of finance."
APART = (
    "The team approves its own calendar. Lunch is at noon, and nobody needs to ask for it. Sales figures are published "
    "in June. A budget is a plan. Bicycles stay outside. Those who travel book early."
)


def test_words_that_stand_together_rise():
    assert order(QUESTION, [0.52, 0.5, 0.2], [APART, TOGETHER, "Nothing."]) == [1, 0, 2]


def test_a_clear_lead_of_the_first_stage_stays():
    assert order(QUESTION, [0.95, 0.5, 0.2], [APART, TOGETHER, "Nothing."]) == [0, 1, 2]


def test_an_exact_name_rises_in_chinese():
    question = "年假结转截止日期是哪天？"
    passages = [
        "截止前须办理：日期、年度、假期与结算。",
        "未休年假可以结转。年假结转截止日期为次年三月三十一日。",
        "办公室在三楼。",
    ]
    assert order(question, [0.51, 0.5, 0.1], passages)[0] == 1


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Who approves travel?", True),
        ("how many days of leave do I get", True),
        ("In which year was it founded", True),
        ("Travel budget?", True),
        ("年假有几天", True),
        ("誰批准", True),
        ("Vitamin D deficiency is linked to a higher risk of fractures.", False),
        ("travel budget sales team", False),
        ("差旅预算", False),
        ("", False),
    ],
)
def test_what_is_a_question(text, asks):
    assert is_question(text) is asks


def test_statements_and_keywords_stay_as_they_were_ranked():
    for text in ("The sales team approves the travel budget.", "travel budget sales team"):
        assert order(text, [0.52, 0.5, 0.2], [APART, TOGETHER, "Nothing."]) == [0, 1, 2]


def test_what_lies_behind_the_depth_stays_there():
    passages = [APART] * DEPTH + [TOGETHER, "Nothing."]
    scores = [0.9 - place / 100 for place in range(len(passages))]
    assert order(QUESTION, scores, passages)[DEPTH:] == [DEPTH, DEPTH + 1]


def test_order_is_decided_by_these_passages_alone_and_not_by_how_ties_are_given():
    assert order(QUESTION, [0.5] * 3, [TOGETHER] * 3) == [0, 1, 2]
    assert order(QUESTION, [], []) == []
    assert order(QUESTION, [0.5], [TOGETHER]) == [0]


def test_each_feature_counts_what_it_says():
    values = dict(
        zip(FEATURES, features("Was pump AB-1234 sold in 2019?", ["pump AB-1234, 2019", "2019 pump"]).T, strict=True)
    )
    assert values["pairs"][0] > values["pairs"][1]
    assert values["run"][0] > values["run"][1]
    assert values["window"][0] > values["window"][1]
    assert values["numbers"][0] > values["numbers"][1]


def test_a_date_is_found_in_any_form_and_dates_that_are_not_asked_about_change_nothing(monkeypatch):
    passages = [
        "Signed on 2024-05-11, paid in June.",
        "Signed in May, paid on 3 June 2024.",
        "11 May 2024 it was signed",
    ]
    dated = features("Who signed on May 11, 2024?", passages)
    assert dated[0, FEATURES.index("numbers")] == dated[2, FEATURES.index("numbers")] > dated[1, -1]
    questions = ("Who signed it?", "What was paid in June?", "谁签了 AB-1234?", "Paid on 3 June?")
    usual = [features(question, passages) for question in questions]
    monkeypatch.setattr("retrieval.reranking.words", tokenize)  # as if dates were looked for each time
    for question, values in zip(questions, usual, strict=True):
        assert (features(question, passages) == values).all()


def test_features_matter_less_the_longer_the_question_is():
    short = features("who approves travel budget", [TOGETHER, APART])
    long = features(
        "who approves travel budget " + " ".join(f"word{number}" for number in range(30)), [TOGETHER, APART]
    )
    assert abs(long).max() < abs(short).max() / 3


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=6))
def test_any_text_is_reordered_and_nothing_is_lost(question, passages):
    scores = sorted((hash(passage) % 100 / 101 for passage in passages), reverse=True)
    assert sorted(order(question + "?", scores, passages)) == list(range(len(passages)))


def test_the_weights_that_ship_are_small_and_name_what_they_were_trained_on():
    shipped = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    assert trained() == {name: shipped["weights"][name] for name in FEATURES}
    assert all(0.0 <= weight < 0.5 for weight in trained().values())
    assert len(shipped["trained_on"]) >= 3
