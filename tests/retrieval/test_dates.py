"""A date is one term however it is written, and what is no date is none."""

import pytest

from retrieval.dates import dates
from retrieval.text import normalize, tokenize


def found(text):
    return dates(normalize(text))


@pytest.mark.parametrize(
    "written",
    [
        "2024-05-11",
        "2024/5/11",
        "11.05.2024",
        "11. May 2024",
        "11 May 2024",
        "11th of May, 2024",
        "11-May-2024",
        "May 11, 2024",
        "MAY 11th 2024",
        "2024年5月11日",
        "2024 年 05 月 11 号",
        "二〇二四年五月十一日",
    ],
)
def test_every_written_form_is_the_same_day(written):
    assert found(f"signed {written}.") == ["2024-05-11", "2024-05", "--05-11"]
    assert "2024-05-11" in tokenize(written)


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        ("on 3 June", ["--06-03"]),
        ("5月11日", ["--05-11"]),
        ("十二月三十一日", ["--12-31"]),
        ("March 2021", ["2021-03"]),
        ("2021年3月", ["2021-03"]),
        ("Sept. 3, 1999", ["1999-09-03", "1999-09", "--09-03"]),
    ],
)
def test_a_date_without_day_or_year_stays_one(written, terms):
    assert found(written) == terms


def test_two_readings_of_ambiguous_numbers_are_both_given():
    assert {"2024-05-11", "2024-11-05"} <= set(found("05/11/2024"))
    assert {"2024-05-31"} == {term for term in found("05/31/2024") if len(term) == 10}
    assert "2024-11-05" not in found("11.05.2024")


@pytest.mark.parametrize(
    "text",
    [
        "三个月",
        "5月的工资",
        "1.2.3",
        "10.0.0.1",
        "2024",
        "40/50/60",
        "price 3-4",
        "二十五月三日",
        "AB-11-05-2024-X",
        "",
    ],
)
def test_what_is_no_date_gives_none(text):
    assert found(text) == []
