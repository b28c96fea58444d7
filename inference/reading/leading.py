"""Lines that only lead to what is said below them: headings, and the questions of a list of questions and answers.

A reader likes them, for they hold the words of the question; but who asks about parental leave is not helped by the
heading "Parental leave". What speaks for such a line speaks for the sentence below it. Pure text: knows no model, no
scores but those handed in, and no format. A line is a heading by how it stands: short, alone on its line, without a
full stop, above a sentence that has one; numbered, or the first thing said after a full stop. Rows of tables, items of
lists and lines that name a value ("Price: 30") are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from inference.engines.base import Passage
from inference.reading.features import Floats, Sentence
from inference.reading.words import has_cjk

LATIN, CJK = 90, 40  # characters of the longest heading; two of them may stand one above the other
UNSAID = 12.0  # a line that leads lies so far below the least likely sentence
_NUMBER = re.compile(
    r"(?P<depth>\d{1,2}(?:\.\d{1,2})*)(?:(?<=\.\d)|(?<=\.\d\d)|[.)]|(?=\s+[A-Z]))[.)]?\s*(?=[A-Z\u4e00-\u9fff])|"
    r"(?P<word>[Ss]ection|SECTION|[Cc]hapter|[Aa]rticle|[Pp]art|[Aa]nnex|§)\s*\d+\b|"
    r"第[\d一二三四五六七八九十百]+(?P<unit>[章节節条條编編])|"
    r"[（(]?[一二三四五六七八九十]+[）)]?(?P<point>[、.．])",
    re.ASCII,
)
_STOP = re.compile(r"[.!?。！？…][\"'”’」』)）\]]*$")
_ASKED = re.compile(r"[?？][\"'”’」』)）\]]*$")
_VALUE = re.compile(r"[|:：;；,，]|^\s*[-–—*•·▪◦]|\.{3}|…")


def handed_down(passages: Sequence[Passage], sentences: Sequence[Sentence], logits: Floats) -> Floats:
    """``logits (n,)`` of the sentences, with the chance of each line that leads added to the sentence below it."""
    leads = leading(passages, sentences)
    if not any(leads):
        return logits
    found = logits.copy()
    least = float(logits.min()) - UNSAID
    for index in np.flatnonzero(leads):
        found[index + 1] = np.logaddexp(found[index], found[index + 1])
        found[index] = least
    return found


def leading(passages: Sequence[Passage], sentences: Sequence[Sentence]) -> list[bool]:
    """Of every sentence, whether it only leads to the next one, which then is of the same passage."""
    found = [False] * len(sentences)
    for index in range(len(sentences) - 2, -1, -1):
        line, below = sentences[index], sentences[index + 1]
        if below.passage != line.passage:
            continue
        above = sentences[index - 1] if index and sentences[index - 1].passage == line.passage else None
        text = passages[line.passage].text
        alone = "\n" in text[line.end : below.start] and (above is None or "\n" in text[above.end : line.start])
        if not alone:
            continue
        answered = not _ASKED.search(below.text) and _STOP.search(below.text) is not None
        if _ASKED.search(line.text):
            found[index] = answered
        elif answered or found[index + 1]:
            found[index] = _is_heading(line.text, above.text if above else "", below.text)
    return found


def _is_heading(line: str, above: str, below: str) -> bool:
    if len(line) > (CJK if has_cjk(line) else LATIN) or _STOP.search(line) or _VALUE.search(line):
        return False
    if number := _kind(line):
        return number not in (_kind(above), _kind(below))  # one of a list, else
    return not any(character.isdigit() for character in line) and (not above or _STOP.search(above) is not None)


def _kind(text: str) -> str:
    """How a line is numbered: "1" and "2" alike, "1.1" otherwise; empty when it is not."""
    match = _NUMBER.match(text)
    if match is None:
        return ""
    depth, word, unit, point = match.group("depth", "word", "unit", "point")
    return str(depth.count(".")) if depth else (word or unit or point).casefold()
