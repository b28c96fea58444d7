"""Words that stand for each other: 打印机 for printer, holiday for annual leave, 社保 for 社会保险.

Neither words nor a vector of an English model join these: the words differ, and the model reads no Chinese. Knows a
list of groups, a question and passages; does not know indexes, people or documents. What a question is searched for
besides its own words follows from the question and the list alone, so it can tell nothing of what lies in an index.

Words agree when their letters do, whatever their case and ending; Chinese characters by themselves. The longest entry
wins where several begin: "public holiday" is no "holiday". What stands in quotation marks is meant to the letter.

The packaged list (`synonyms.txt`) holds everyday words of an office in English and Chinese, from general knowledge.
What it gains and costs: `retrieval/RANKING.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from retrieval.phrases import quotations
from retrieval.text import CJK, normalize, stem, strip_marks, tokenize

PACKAGED = Path(__file__).with_name("synonyms.txt")
WEIGHT = 0.5  # of another word beside one of the question's own
_UNIT = re.compile(rf"[{CJK}]|[^\W\d_{CJK}]+|\d+")

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that stands at `start` to `end` of a question, and those that stand for it."""

    start: int
    end: int
    key: _Key
    others: tuple[str, ...]


class Synonyms:
    """Groups of entries that stand for each other. Immutable; safe to share between threads."""

    def __init__(self, groups: Iterable[Sequence[str]]) -> None:
        self._others: dict[_Key, dict[_Key, str]] = {}
        for group in groups:
            keys = {key: entry for entry in reversed(group) if (key := _key(entry))}
            for key in keys:
                others = {other: entry for other, entry in reversed(keys.items()) if other != key}
                self._others.setdefault(key, {}).update(others)
        self._lengths: dict[str, list[int]] = {}
        for key in sorted(self._others, key=len, reverse=True):
            lengths = self._lengths.setdefault(key[0], [])
            lengths.extend([len(key)] if len(key) not in lengths else [])

    @classmethod
    def read(cls, path: Path = PACKAGED) -> Synonyms:
        """From a file: one group a line, entries between "|", lines that begin with "#" left out. Raises OSError."""
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls([part.strip() for part in line.split("|")] for line in lines if line.strip() and line[0] != "#")

    @property
    def entries(self) -> list[str]:
        """All entries."""
        return list(dict.fromkeys(entry for others in self._others.values() for entry in others.values()))

    def matches(self, question: str) -> list[Match]:
        """The entries in a question, in order; they do not overlap."""
        quoted = quotations(question)
        units = [(match.span(), _unit(match[0])) for match in _UNIT.finditer(question)]
        found: list[Match] = []
        place = 0
        while place < len(units):
            key = self._entry([unit for _, unit in units[place : place + 8]])
            if key:
                start, end = units[place][0][0], units[place + len(key) - 1][0][1]
                if not any(first < end and start < last for first, last in quoted):
                    found.append(Match(start, end, key, tuple(self._others[key].values())))
            place += max(1, len(key))
        return found

    def terms(self, question: str) -> dict[str, float]:
        """Terms that a question is searched for besides its own, with their weight beside 1 of those: the words of an
        entry share the weight of one."""
        weights: dict[str, float] = {}
        for match in self.matches(question):
            for other in match.others:
                # single Chinese characters are for questions of one character
                terms = dict.fromkeys(term for term in tokenize(other) if len(term) > 1 or len(other) == 1)
                for term in terms:
                    weights[term] = max(weights.get(term, 0.0), WEIGHT / len(terms))
        own = set(tokenize(question))
        return {term: weight for term, weight in weights.items() if term not in own}

    def instead(self, question: str, passages: Iterable[str]) -> tuple[str, list[str]]:
        """The question with each entry that no passage holds replaced by the one of its group that they hold most
        often, and the words put in; the question itself and none where there is nothing to replace."""
        matches = self.matches(question)
        put: list[str] = []
        text = f" {' '.join(unit for passage in passages for unit in (*_key(passage), '|'))} " if matches else ""
        for match in reversed(matches):
            best = max(match.others, key=lambda other: _times(_key(other), text))
            if not _times(match.key, text) and _times(_key(best), text):
                question = question[: match.start] + best + question[match.end :]
                put.append(best)
        return question, list(dict.fromkeys(reversed(put)))

    def _entry(self, units: list[str]) -> _Key:
        """The longest entry that the units begin with; empty for none."""
        for length in self._lengths.get(units[0], ()):
            if (key := tuple(units[:length])) in self._others:
                return key
        return ()


@lru_cache(maxsize=1)
def packaged() -> Synonyms:
    """The list that comes with the library."""
    return Synonyms.read()


def _times(key: _Key, text: str) -> int:
    return text.count(f" {' '.join(key)} ")


def _key(text: str) -> _Key:
    return tuple(_unit(unit) for unit in _UNIT.findall(text))


@lru_cache(maxsize=20_000)
def _unit(word: str) -> str:
    return stem(strip_marks(normalize(word)))
