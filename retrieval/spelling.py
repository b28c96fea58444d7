"""A question's misspelt words in the spelling of the passages: hollidays for holidays, reimbursment for reimbursement.

No list of words is needed: the passages say how a word is written. A word of the question that stands in none of them,
and that is no common word either, is taken for a slip of the pen where the passages hold a word that is one slip away
(Damerau, 1964, doi:10.1145/363958.363994). Only slips that seldom make another word count: two neighbours that changed
places, a letter too many or too few within the word, s, c and z for each other. A wrong letter is left alone (nitrite
is not nitrate, micro is not macro), and so are two slips (qualitative is not quantitative), names, words in quotation
marks, and whatever begins or ends otherwise. Latin letters only. Knows the question and the passages given, which the
person may read, and nothing else: whether a word stands in other passages is for the caller to find out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

_WORD = re.compile(r"(?<![\w'@./-])[a-z]{5,30}(?![\w'@/-])")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|‘[^’]*’|(?<!\w)'[^']*'(?!\w)|`[^`]*`|[「『《][^」』》]*[」』》]")
# In small letters, or at the beginning of a line or sentence: a capital within a sentence makes a name.
_NO_NAME = re.compile(r"\b[a-z]{4,31}\b|(?<![\w,;&] )\b[A-Z][a-z]{3,30}\b")
_ENDINGS = ("ing", "ed", "er", "ers", "ly")
_LONG = 7  # letters from which on a letter too many or too few need not be a doubled one
_ALIKE = frozenset("scz")


def misspelt(
    question: str, passages: Iterable[str], common: Callable[[str], bool], known: Iterable[str] = ()
) -> dict[str, str]:
    """The misspelt words of the question, each with the word that is meant: one of the passages, else one of the
    `known`. `common` tells whether a word in small letters is an ordinary one of the language."""
    words = dict.fromkeys(match[0] for match in _words(question))
    text = "\n".join(passages) if words else ""
    sources = text, "\n".join(known) if words else ""
    unknown = [
        word for word in words if not any(map(common, _forms(word))) and not any(holds(s, word) for s in sources)
    ]
    right: dict[str, str] = {}
    for source in reversed(sources) if unknown else ():
        meant = Counter(map(str.lower, _NO_NAME.findall(source)))
        near = {word: [other for other in meant if _one_slip(word, other)] for word in unknown}
        right |= {
            word: min(others, key=lambda other: (-meant[other], other)) for word, others in near.items() if others
        }
    return right


def corrected(question: str, right: Mapping[str, str]) -> str:
    """The question with each word that `misspelt` found as the passages write it."""
    for match in reversed(_words(question) if right else []):
        if match[0] in right:
            question = question[: match.start()] + right[match[0]] + question[match.end() :]
    return question


def holds(passage: str, word: str) -> bool:
    """Whether the word, in small letters, stands in the passage, with this ending or another."""
    return re.search(rf"(?<![a-z]){word[:-1]}", passage.lower()) is not None


def _words(question: str) -> list[re.Match[str]]:
    """What may be misspelt: words in small letters outside quotation marks. A capital makes a name, or a beginning."""
    quoted = [match.span() for match in _QUOTED.finditer(question)]
    found = _WORD.finditer(question)
    return [match for match in found if not any(start < match.start() < end for start, end in quoted)]


def _forms(word: str) -> list[str]:
    """The word, and what it may be a form of."""
    stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    return [word, *stems, *(f"{stem}e" for stem in stems)]


def _one_slip(word: str, other: str) -> bool:
    """Whether one slip within the word makes the other of it."""
    short, long = sorted((word, other), key=len)
    at = next((place for place, (one, two) in enumerate(zip(short, long, strict=False)) if one != two), 0)
    if at == 0:  # they begin differently, or one goes on where the other ends: an ending is no slip
        return False
    if len(short) == len(long):
        exchanged = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
        return exchanged or ({short[at], long[at]} <= _ALIKE and short[at + 1 :] == long[at + 1 :])
    doubled = long[at] == long[at - 1]
    return short[at:] == long[at + 1 :] and (doubled or len(short) >= _LONG)
