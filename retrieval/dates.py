"""Dates as people write them, in one form: `2024-05-11`, `2024-05`, `--05-11` (ISO 8601; the last is of 1988).

Knows the written forms of English, German-style numbers and Chinese. Does not know what day it is: a date without a
year stays one. Where two numbers could each be the month ("05/11/2024"), both readings are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAMES = (
    "jan january, feb february, mar march, apr april, may, jun june, jul july, aug august, sep sept september, "
    "oct october, nov november, dec december"
)
_MONTHS = {name: number for number, names in enumerate(_NAMES.split(","), 1) for name in names.split()}
_SHORT = [name for name in _MONTHS if len(name) == 3]
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:1[5-9]|20)\d\d)"
_ENGLISH = re.compile(
    rf"\b{_DAY}\.?(?:\s+of)?[\s-]+{_MONTH}(?:,?[\s-]+{_YEAR}\b)?".replace("?P<", "?P<a_")
    + "|"
    + rf"\b{_MONTH}[\s-]+(?:{_DAY}\b(?!\s*[:%.]\d)(?:,?\s+{_YEAR}\b)?)".replace("?P<", "?P<b_")
    + "|"
    + rf"\b{_MONTH},?[\s-]+{_YEAR}\b".replace("?P<", "?P<c_")
)
_NUMBERS = re.compile(
    r"(?<![\w./-])(?:"
    r"(?P<y>(?:1[5-9]|20)\d\d)(?P<s>[-/.])(?P<m>0?[1-9]|1[0-2])(?P=s)(?P<d>3[01]|[12]\d|0?[1-9])"
    r"|(?P<one>3[01]|[12]\d|0?[1-9])(?P<t>[-/.])(?P<two>3[01]|[12]\d|0?[1-9])(?P=t)(?P<z>(?:1[5-9]|20)\d\d)"
    r")(?![\w/-]|\.\d)"
)
_DIGITS = "〇零一二三四五六七八九"
_VALUES = {character: max(0, place - 1) for place, character in enumerate(_DIGITS)}
_CHINESE = re.compile(
    rf"(?:(?P<year>\d{{4}}|[{_DIGITS}]{{4}})\s*年\s*)?(?P<month>\d{{1,2}}|[一二三四五六七八九十]{{1,2}})\s*月"
    r"(?:\s*(?P<day>\d{1,2}|[一二三四五六七八九十]{1,3})\s*[日号號])?"
)
_SEPARATED = re.compile(r"\d[-/.]\d")  # cheap looks before dear ones: most passages hold no date
_NAMED = re.compile(rf"\d\w{{0,2}}\.?[\s-]+(?:of )?(?:{'|'.join(_SHORT)})|(?:{'|'.join(_SHORT)})[a-z]*\.?,?[\s-]+\d")


def dates(text: str) -> list[str]:
    """Every date of a text in the form of `retrieval.text.normalize`, with what is asked for less exactly: the month of
    a day, the day without its year. In reading order of each written form, repeated as often as it stands there."""
    found: list[tuple[int, int, int]] = []
    if any(name in text for name in _SHORT) and _NAMED.search(text):
        found.extend(_words(text))
    if _SEPARATED.search(text):
        found.extend(_numbers(text))
    if "月" in text:
        found.extend(_chinese(text))
    return [term for date in found for term in _terms(*date)]


def _terms(year: int, month: int, day: int) -> Iterator[str]:
    if not 1 <= month <= 12 or day > 31:
        return
    if year and day:
        yield f"{year}-{month:02}-{day:02}"
    if year:
        yield f"{year}-{month:02}"
    if day:
        yield f"--{month:02}-{day:02}"


def _words(text: str) -> Iterator[tuple[int, int, int]]:
    for match in _ENGLISH.finditer(text):
        found = {name[2:]: value for name, value in match.groupdict().items() if value}
        yield int(found.get("year", 0)), _MONTHS[found["month"]], int(found.get("day", 0))


def _numbers(text: str) -> Iterator[tuple[int, int, int]]:
    for match in _NUMBERS.finditer(text):
        if match["y"]:
            yield int(match["y"]), int(match["m"]), int(match["d"])
            continue
        year, one, two = int(match["z"]), int(match["one"]), int(match["two"])
        yield year, two, one
        if match["t"] != "." and one != two:  # with points the day comes first everywhere
            yield year, one, two


def _chinese(text: str) -> Iterator[tuple[int, int, int]]:
    for match in _CHINESE.finditer(text):
        if match["year"] or match["day"]:  # "三个月", "5月" alone say no date
            yield _year(match["year"]), _count(match["month"]), _count(match["day"])


def _year(written: str | None) -> int:
    if not written or written.isascii():
        return int(written or 0)
    return int("".join(str(_VALUES[character]) for character in written))


def _count(written: str | None) -> int:
    """12 for "12" and "十二"; 0 for nothing, 99 for what is no number."""
    if not written or written.isascii():
        return int(written or 0)
    before, ten, after = written.partition("十")
    if not ten:
        return _VALUES.get(written, 99)
    if len(before) > 1 or len(after) > 1 or "十" in after:
        return 99
    return 10 * (_VALUES[before] if before else 1) + (_VALUES[after] if after else 0)
