"""What a question asks for to the letter: words in quotation marks, and a phrase that is the whole question.

Knows a question and passages. Does not know scores, indexes or permissions. BM25 counts words and a vector blurs them:
neither tells "net thirty days after delivery" from the same words in another order. Two texts agree here when their
letters, digits and Chinese characters do, in this order and with the same ends of words: case, accents, punctuation,
white space and what stands between letters and digits do not matter, so that "AB-1234", "AB 1234" and "ab1234" are one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.text import CJK, normalize, strip_marks

_LETTER = rf"[^\W{CJK}]"  # 5" is an inch
_QUOTED = re.compile(
    rf'(?<!{_LETTER})["“](?=\S)([^"“”]*[^"“”\s])["”](?!{_LETTER})|「([^」]+)」|『([^』]+)』|《([^》]+)》'
)
_UNIT = re.compile(rf"[{CJK}]|[^\W\d_{CJK}]+|\d+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ASKING = re.compile(
    r"(?:who|whom|whose|what|which|when|where|why|how|is|are|was|were|do|does|did|can|could|may|must|shall|should|will|would|"
    r"has|have|had|tell|show|list|give|explain|describe)\b|.*(?:[?？吗呢]|什么|多少|哪|谁|怎|如何|几|是否)"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`quoted` phrases come first wherever they stand; `whole`, the question itself when it is a phrase, comes before
    passages of the same words in another order. Both in the form of `plain`."""

    quoted: tuple[str, ...]
    whole: str

    def __bool__(self) -> bool:
        return bool(self.quoted or self.whole)

    def held(self, passage: str) -> int:
        """How many of the quoted phrases stand in the passage."""
        text = plain(passage)
        return sum(phrase in text for phrase in self.quoted)


def wanted(question: str) -> Wanted:
    """What must stand in a passage as it is written. Nothing for most questions."""
    text = normalize(question)
    quoted = [plain(next(filter(None, match.groups()))) for match in _QUOTED.finditer(text)]
    quoted = [phrase for phrase in quoted if phrase.strip()]
    whole = "" if quoted or _ASKING.match(text) else plain(text)
    return Wanted(tuple(dict.fromkeys(quoted)), whole if whole.count(" ") > 2 else "")


def quotations(question: str) -> list[tuple[int, int]]:
    """Where what stands in quotation marks begins and ends, the marks included."""
    return [match.span() for match in _QUOTED.finditer(question)]


def plain(text: str) -> str:
    """The units of a text, a space before, between and behind them; a single space for none."""
    units = _UNIT.findall(_THOUSANDS.sub("", normalize(text)))
    return f" {' '.join(unit if unit.isascii() else strip_marks(unit) for unit in units)} "


def exact_first(wanted: Wanted, passages: Sequence[str]) -> list[int]:
    """Places of the passages in their new order; nothing moves that need not."""
    order = list(range(len(passages)))
    if wanted.quoted:
        order.sort(key=[-wanted.held(passage) for passage in passages].__getitem__)
    elif wanted.whole:
        texts = [plain(passage) for passage in passages]
        words = set(wanted.whole.split())
        alike = [place for place in order if words <= set(texts[place].split())]
        better = sorted(alike, key=lambda place: wanted.whole not in texts[place])
        for place, passage in zip(alike, better, strict=True):
            order[place] = passage
    return order
