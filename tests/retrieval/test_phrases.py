"""What is asked for to the letter: which words that is, and which passage then comes first."""

import pytest

from retrieval.phrases import exact_first, plain, wanted

REORDERED = ["after delivery: thirty net days", "net thirty days after delivery", "holidays", "days: net thirty"]


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ('Where is "net thirty days" written?', [" net thirty days "]),
        ("\u201cnet thirty days\u201d", [" net thirty days "]),
        ('"AB-1234" and "M8 x 40"', [" ab 1234 ", " m 8 x 40 "]),
        ("“年假结转” 的截止日期", [" 年 假 结 转 "]),
        ("「年假」有幾天", [" 年 假 "]),
        ("《员工手册》", [" 员 工 手 册 "]),
        ('an empty "" or " - " quotation', []),
        ('a single " mark', []),
        ('a 5" pipe and a 6" pipe', []),
    ],
)
def test_words_in_quotation_marks(question, quoted):
    assert list(wanted(question).quoted) == quoted


@pytest.mark.parametrize(
    ("question", "whole"),
    [
        ("net thirty days after delivery", " net thirty days after delivery "),
        ("年假结转截止日期", " 年 假 结 转 截 止 日 期 "),
        ("TF-SK-150-11", " tf sk 150 11 "),
        ("What is net thirty days", ""),
        ("net thirty days?", ""),
        ("年假有几天", ""),
        ("holiday", ""),
        ("", ""),
    ],
)
def test_a_question_that_is_a_phrase(question, whole):
    assert wanted(question).whole == whole
    assert not wanted(question).quoted


@pytest.mark.parametrize("written", ["AB-1234", "ab 1234", "AB1234", "Ab\u20111234"])
def test_ways_to_write_one_part_number_agree(written):
    assert plain(written) == " ab 1234 "


def test_accents_case_and_thousands_do_not_matter_but_ends_of_words_do():
    assert plain("A Café, 1,200 €") == plain("a cafe 1200")
    assert plain("net") not in plain("network")


def test_the_phrase_goes_before_the_same_words_in_another_order_and_nothing_else_moves():
    order = exact_first(wanted("net thirty days after delivery"), REORDERED)
    assert order == [1, 0, 2, 3]
    assert exact_first(wanted("thirty net"), ["net thirty", "other", "thirty net"]) == [2, 1, 0]
    assert exact_first(wanted("something else"), REORDERED) == [0, 1, 2, 3]


def test_what_is_quoted_goes_before_everything_and_more_of_it_before_less():
    question = wanted('"after delivery" "net thirty"')
    assert exact_first(question, REORDERED) == [1, 0, 3, 2]


def test_chinese_phrases():
    passages = ["截止日期：年假结转", "另外的规定", "年假结转截止日期为三月"]
    assert exact_first(wanted("年假结转截止日期"), passages) == [2, 1, 0]
    assert exact_first(wanted("“截止日期”的规定"), ["日期截止", *passages]) == [1, 3, 0, 2]
