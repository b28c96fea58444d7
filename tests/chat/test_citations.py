"""Markers however they are spelt and cut, and sentences held against their passages."""

from __future__ import annotations

import pytest

from assistant.chat.citations import MarkerReader, Source, check, flatten, locate, numbers, split


def read(text: str, *, passages: int = 3, step: int = 1) -> str:
    reader = MarkerReader(passages)
    return "".join(reader.feed(text[at : at + step]) for at in range(0, len(text), step)) + reader.end()


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ("Thirty days [1].", "Thirty days [1]."),
        ("Thirty days [1][2].", "Thirty days [1][2]."),
        ("Thirty days [1, 2].", "Thirty days [1][2]."),
        ("Thirty days [1,2，3].", "Thirty days [1][2][3]."),
        ("Thirty days [1 and 3].", "Thirty days [1][3]."),
        ("Thirty days [ 2 ].", "Thirty days [2]."),
        ("Thirty days [Source 2].", "Thirty days [2]."),
        ("三十天［１］。", "三十天[1]。"),
        ("三十天【2】。", "三十天[2]。"),
        ("三十天[来源：1]。", "三十天[1]。"),
        ("Thirty days [1][1].", "Thirty days [1][1]."),
        ("Out of range [4] and [0].", "Out of range and."),
        ("Half in range [2, 7].", "Half in range [2]."),
        ("Not a marker [see below] here.", "Not a marker [see below] here."),
        ("Never closed [1", "Never closed [1"),
        ("An array x[i] [2]", "An array x[i] [2]"),
        ("A year [2026].", "A year [2026]."),
        ("No markers at all.", "No markers at all."),
        ("Trailing space ", "Trailing space "),
    ],
)
def test_markers_come_out_canonical_however_the_stream_is_cut(said, read_as):
    assert {read(said, step=step) for step in (1, 2, 3, 5, 1000)} == {read_as}


def test_no_prefix_of_the_stream_shows_part_of_a_marker():
    reader, shown = MarkerReader(3), ""
    for character in "Thirty days [1]. More [9] follows.":
        shown += reader.feed(character)
        assert shown.count("[") == shown.count("]")


def test_markers_belong_to_the_sentence_they_stand_in_or_after():
    text = "The limit is 3.5 km [1]. Ask HR. [2]\n\nA new paragraph [1][3]\n- an item [2]\n- another"
    found = [(sentence.text, sentence.markers, sentence.breaks) for sentence in split(text, quoted=False)]
    assert found == [
        ("The limit is 3.5 km.", (1,), 0),
        ("Ask HR.", (2,), 0),
        ("A new paragraph", (1, 3), 2),
        ("- an item", (2,), 1),
        ("- another", (), 1),
    ]


def test_quotation_up_to_its_marker_is_one_sentence():
    found = split("First. Still the first [1] The second [2]", quoted=True)
    assert [(sentence.text, sentence.markers) for sentence in found] == [
        ("First. Still the first", (1,)),
        ("The second", (2,)),
    ]


SOURCE = Source(
    "Employees are entitled to 30 days of\nannual leave. Unused leave may be carried over until 31 March. "
    "It is not paid out. Requests go to Ms Okafor.",
    "Leave Policy",
)


@pytest.mark.parametrize(
    ("sentence", "verified"),
    [
        ("Employees are entitled to 30 days of annual leave.", True),
        ("employees are entitled to 30 days  of annual leave", True),
        ("Employees get 30 days of annual leave.", True),
        ("Employees get thirty days of annual leave.", True),
        ("Employees get 28 days of annual leave.", False),
        ("Unused leave can be carried over until 31 March.", True),
        ("Unused leave can be carried over until 31 April.", False),
        ("Unused leave may not be carried over until 31 March.", False),
        ("Leave is paid out.", False),
        ("Leave is not paid out.", True),
        ("Requests go to Ms Okafor.", True),
        ("Requests for annual leave go to Ms Tanaka.", False),
        ("The canteen serves lunch at noon.", False),
    ],
)
def test_sentence_is_held_against_its_passage(sentence, verified):
    assert check(sentence, SOURCE).verified is verified


def test_chinese_number_that_differs_is_not_supported():
    source = Source("员工每年享有三十天带薪年假，须提前申请。")
    assert check("员工每年享有三十天年假。", source).verified
    assert check("员工每年享有30天年假。", source).verified
    assert not check("员工每年享有二十天年假。", source).verified


def test_support_points_at_the_words_it_rests_on():
    support = check("Unused leave can be carried over until 31 March.", SOURCE)
    assert SOURCE.text[support.start : support.end] == "Unused leave may be carried over until 31 March."


@pytest.mark.parametrize(
    ("needle", "haystack", "found"),
    [
        ("30 days of annual leave", "a 30 days of\n annual leave b", "30 days of\n annual leave"),
        ("三十天年假", "每年享有三十\n天年假。", "三十\n天年假"),
        ("“quoted” – text", 'some "quoted" - text', '"quoted" - text'),
        ("ＡＢＣ１２３", "x abc123 y", "abc123"),
        ("ﬁle", "the file", "file"),
        ("soft\u00adhyphen", "a softhyphen b", "softhyphen"),
    ],
)
def test_quotation_is_located_in_spite_of_its_shape(needle, haystack, found):
    start, end = locate(needle, haystack)
    assert haystack[start:end] == found


def test_absent_and_empty_words_are_not_located():
    assert locate("absent", "present") is None
    assert locate(" \n", "present") is None


def test_numbers_have_one_spelling():
    assert numbers("1,500.00 euros") == numbers("1500 euros") == {"1500"}
    assert numbers("3.50") == numbers("3,5") == {"3.5"}
    assert numbers("12 March") == {"12", "month 3"}
    assert numbers("three pumps") == {"3"}
    assert numbers("三十天") == {"30"}
    assert numbers("一百零五元") == {"105"}
    assert numbers("二〇二六年三月") == {"2026", "3"}
    assert numbers("一般情况下统一处理") == set()


def test_line_breaks_of_a_page_are_smoothed_by_script():
    assert flatten("one\ntwo\r\n three") == "one two three"
    assert flatten("员工每年享有\n三十天年假") == "员工每年享有三十天年假"
