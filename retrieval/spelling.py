"""A question's misspelt words in the spelling of the passages: hollidays for holidays, reimbursment for reimbursement.

No list of words is needed: the passages say how a word is written. A word of the question that stands in none of them,
and that is no common word either, is taken for a misspelling of the nearest word that does. Distances are those of
Damerau (1964, doi:10.1145/363958.363994): a letter too many, too few, wrong, or two that changed places. The first
letter is seldom wrong and must agree. Names within a sentence are left alone: Meier is not Meyer. Latin letters only.
Knows the question and the passages given, which the person may read, and nothing else.

Measured with the words that all-MiniLM-L6-v2 knows whole as the common ones, and ten passages for each question, the
right one among them: of 5,980 questions of five sets (PolicyQA, SQuAD 2, COVID-QA, TAT-QA, Anthropic's documentation)
89 change, most of them at a misspelling: liabilites, incorperated, chacateristics.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

_WORD = re.compile(r"(?<![\w'@./-])[A-Za-z]{5,30}(?![\w'@/-])")
_PLAIN = re.compile(r"[a-z]{4,31}")
_ENDINGS = ("ing", "ed", "er", "ers", "ly")
_LONG = 8  # letters from which on two mistakes are forgiven


def corrected(question: str, passages: Iterable[str], common: Callable[[str], bool]) -> str:
    """The question with each misspelt word as the passages write it; mostly as it was. `common` tells whether a word in
    small letters is an ordinary one of the language."""
    words = [match for match in _WORD.finditer(question) if match.start() == 0 or match[0].islower()]
    if not words:
        return question
    there = Counter(_PLAIN.findall("\n".join(passages).lower()))
    for match in reversed(words):
        word = match[0].lower()
        if word in there or any(common(form) for form in _forms(word)):
            continue
        if right := _nearest(word, there):
            question = question[: match.start()] + right + question[match.end() :]
    return question


def _forms(word: str) -> list[str]:
    """The word, and what it may be a form of."""
    stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    return [word, *stems, *(f"{stem}e" for stem in stems)]


def _nearest(word: str, there: Counter[str]) -> str:
    """The nearest word, of equals the commonest, then the first in the alphabet; empty for none near enough."""
    most = 2 if len(word) >= _LONG else 1
    near = [
        (steps, -count, other)
        for other, count in there.items()
        if other[0] == word[0]
        and abs(len(other) - len(word)) <= most
        and not _inflected(word, other)
        and (steps := _distance(word, other)) <= most
    ]
    return min(near)[2] if near else ""


def _inflected(word: str, other: str) -> bool:
    """Whether one is the other with an ending: not misspelt, and the index knows endings."""
    short, long = sorted((word, other), key=len)
    return long.startswith(short) and long[len(short) :] in {"s", "d", "es", "ed", "ly", "er", "r", "al", "y"}


def _distance(one: str, other: str) -> int:
    """Letters to insert, delete, replace or exchange with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        last, before, row = before, row, [at]
        for place, mark in enumerate(other, start=1):
            steps = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (letter != mark))
            if at > 1 and place > 1 and letter == other[place - 2] and one[at - 2] == mark:
                steps = min(steps, last[place - 2] + 1)
            row.append(steps)
    return row[-1]
