"""Misspelt words take the spelling of the passages; right ones, names and short words stay."""

from __future__ import annotations

import pytest

from retrieval.spelling import corrected, misspelt

PASSAGES = [
    "Paid holidays: 30 days. Reimbursement takes ten days. The password is changed every year.",
    "Expenses are claimed in the portal; Mr Meyer approves them. The park is closed. Quarters end in March.",
]
COMMON = frozenset({"which", "where", "parts", "contact", "there", "about", "quarrel"})


def written(question, passages, common, known=()):
    return corrected(question, misspelt(question, passages, common, known))


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("how many hollidays do I get", "how many holidays do I get"),
        ("the reimbursment deadline?", "the reimbursement deadline?"),
        ("i lost my pasword", "i lost my password"),
        ("where do expences go", "where do expenses go"),
        ("when are hoildays", "when are holidays"),
        ("hollidays and pasword", "holidays and password"),
        ('"hollidays" or hollidays', '"hollidays" or holidays'),
        ("it's about hollidays, isn't it", "it's about holidays, isn't it"),
    ],
)
def test_misspelling_takes_the_spelling_of_the_passages(question, right):
    assert written(question, PASSAGES, COMMON.__contains__) == right


@pytest.mark.parametrize(
    "question",
    [
        "which parts are there",  # a common word is right, however near another one is
        "is contacting allowed",  # and so is a form of one
        "what did Meier approve",  # a name within a sentence
        "Pasword",  # or at its beginning
        "who is meyr",  # and a name is never what was meant
        "a quarter is over",  # its plural stands there
        "the part",  # too short
        "gollidays",  # the first letter is seldom wrong
        "passwird",  # a wrong letter may make another word
        "the paaswword",  # and so may two slips
        "the passwor",  # an ending
        "pasword1 x-pasword me@pasword.example",  # identifiers and addresses
        *('what is "pasword"', "what is “pasword”", "what is 'pasword'", "what is `pasword`", "什么是「pasword」"),
        "年假有几天？",
        "",
    ],
)
def test_everything_else_stays_as_it_was(question):
    assert written(question, PASSAGES, COMMON.__contains__) == question


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        *(("qualitative", "quantitative"), ("nitrites", "nitrates"), ("macroeconomic", "microeconomic")),
        *(("hypotension", "hypertension"), ("proscribe", "prescribe"), ("silicone", "silicon"), ("forum", "form")),
        *(("conductance", "inductance"), ("sulfide", "sulfite"), ("afferent", "efferent"), ("costal", "coastal")),
    ],
)
def test_a_word_is_not_taken_for_another_word_of_the_language(asked, there):
    """Not even when nothing is known to be common."""
    for question, text in ((asked, there), (there, asked)):
        assert written(f"the {question} limits", [f"the {text} limits"], lambda word: False) == f"the {question} limits"


def test_without_passages_nothing_is_known_and_nothing_changed():
    assert written("how many hollidays", [], COMMON.__contains__) == "how many hollidays"


def test_of_words_equally_near_the_commonest_is_taken_whatever_their_order():
    texts = ["the commitee, the comittee", "the comittee"]
    assert written("committee", texts, COMMON.__contains__) == "comittee"
    texts = ["commitee comittee", "comittee commitee"]
    assert written("committee", texts, COMMON.__contains__) == "comittee"
    assert written("committee", texts[::-1], COMMON.__contains__) == "comittee"


def test_words_that_are_known_besides_are_meant_where_no_passage_holds_what_is():
    known = ["vacation", "paid holiday", "telework"]
    assert written("how much vaction", PASSAGES, COMMON.__contains__) == "how much vaction"
    assert written("how much vaction", PASSAGES, COMMON.__contains__, known) == "how much vacation"
    assert written("hollidays", PASSAGES, COMMON.__contains__, ["hollidday"]) == "holidays"
    assert written("hoilday", PASSAGES, COMMON.__contains__, known) == "holiday"
    assert written("may I telework", ["Twelve may telewrok."], COMMON.__contains__, known) == "may I telework"
