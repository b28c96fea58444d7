"""Misspelt words take the spelling of the passages; right ones, names and short words stay."""

from __future__ import annotations

import pytest

from retrieval.spelling import corrected

PASSAGES = [
    "Paid holidays: 30 days. Reimbursement takes ten days. The password is changed every year.",
    "Expenses are claimed in the portal; Mr Meyer approves them. The park is closed. Quarters end in March.",
]
COMMON = frozenset({"which", "where", "parts", "contact", "there", "about", "quarrel"})


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("how many hollidays do I get", "how many holidays do I get"),
        ("Reimbursment deadline?", "reimbursement deadline?"),
        ("i lost my pasword", "i lost my password"),
        ("where do expences go", "where do expenses go"),
        ("when are hoildays", "when are holidays"),
        ("hollidays and pasword", "holidays and password"),
    ],
)
def test_misspelling_takes_the_spelling_of_the_passages(question, right):
    assert corrected(question, PASSAGES, COMMON.__contains__) == right


@pytest.mark.parametrize(
    "question",
    [
        "which parts are there",  # a common word is right, however near another one is
        "is contacting allowed",  # and so is a form of one
        "what did Meier approve",  # a name within a sentence
        "a quarter is over",  # its plural stands there
        "the part",  # too short
        "gollidays",  # the first letter is seldom wrong
        "pasword1 x-pasword me@pasword.example",  # identifiers and addresses
        "年假有几天？",
        "",
    ],
)
def test_everything_else_stays_as_it_was(question):
    assert corrected(question, PASSAGES, COMMON.__contains__) == question


def test_without_passages_nothing_is_known_and_nothing_changed():
    assert corrected("how many hollidays", [], COMMON.__contains__) == "how many hollidays"


def test_of_words_equally_near_the_commonest_is_taken_whatever_their_order():
    texts = ["the tender", "a render or a render"]
    assert corrected("rander", texts, COMMON.__contains__) == "render"
    texts = ["basin basil", "basil basin"]
    assert corrected("basim", texts, COMMON.__contains__) == corrected("basim", texts[::-1], COMMON.__contains__)
