"""Short forms of Chinese compounds are read in the full words of the passages given, and nothing else is touched."""

import pytest

from retrieval.wording import short_forms

LEAVE = "员工累计工作满一年不满十年的，年休假为十天；满二十年的，为二十天。"


@pytest.mark.parametrize(
    ("question", "passage", "forms"),
    [
        ("我每年有多少天年假？", LEAVE, {"年假": "年休假"}),
        ("开私车出差怎么补？", "经批准使用私家车出差的，按每公里1.6元补贴。", {"私车": "私家车"}),
        ("工作十年的年假有幾天？", LEAVE, {"年假": "年休假"}),
    ],
)
def test_short_form_is_written_as_the_passages_write_it(question, passage, forms):
    assert short_forms(question, ["别的内容。", passage]) == forms


def test_words_that_a_passage_uses_stay_even_when_a_longer_form_is_commoner():
    question = "年假有几天？"
    assert short_forms(question, [LEAVE, LEAVE, "年假须提前申请。"]) == {}


def test_commonest_full_form_is_taken_whatever_the_order():
    texts = ["年节假另行通知。", LEAVE, LEAVE]
    assert short_forms("年假有几天？", texts) == short_forms("年假有几天？", texts[::-1]) == {"年假": "年休假"}


@pytest.mark.parametrize(
    "passage",
    ["今年\n假期", "今年，假期另定。", "年的假", "年\n休假"],
    ids=["two lines", "punctuation", "a joining character", "over a line's end"],
)
def test_characters_that_meet_by_chance_are_no_compound(passage):
    assert short_forms("年假有几天？", [passage]) == {}


@pytest.mark.parametrize("question", ["How many days of leave?", "", "假", "？！"])
def test_question_without_chinese_words_stays(question):
    assert short_forms(question, [LEAVE]) == {}


def test_no_passages_change_nothing():
    assert short_forms("年假有几天？", []) == {}
