"""Searches and reads a question in the words of what it finds: 年假 as 年休假, hollidays as holidays, and 打印机
as printer.

Only passages the person may read, as they may see them, say what a short form or a misspelling stands for. A word that
stands anywhere in what the person may read is no misspelling. What is read follows from the passages on record alone,
so that a replay reads the same. Knows searching; the words are those of `retrieval.wording`, `retrieval.spelling` and
`retrieval.synonyms`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from assistant import engines
from assistant.documents.search import FoundPassage, SearchReport
from inference.engines.base import Assessment
from retrieval import synonyms
from retrieval.spelling import corrected, holds, misspelt
from retrieval.wording import short_forms

from . import spelling


def searched(search: Callable[..., SearchReport], text: str, **how: Any) -> SearchReport:
    """What is found for the text; where it holds a short form or a misspelling of what is found, for that in full."""
    report = _with_holders(search, text, how, search(text=text, **how))
    full = in_full_words(text, report.passages)
    return report if full == text else _with_holders(search, text, how, search(text=full, **how))


def in_full_words(question: str, found: Sequence[FoundPassage]) -> str:
    """The question as the reader gets it; the person, the record and the engine keep their own words."""
    return _in_full(question, found)[0]


def read(
    assess: Callable[[str], Assessment], question: str, found: Sequence[FoundPassage]
) -> tuple[Assessment, list[spelling.Place]]:
    """What the passages say to the question, and where the words stand that took the place of the question's own, to be
    told to who asked. With other words for what no passage holds it is read once more: the surer answer counts."""
    words, told = _in_full(question, found)
    best = assess(words)
    others, instead = synonyms.packaged().instead(words, map(_text, found))
    if instead and (other := assess(others)).answerable > best.answerable:
        best, told = other, [*told, *instead]
    return best, spelling.places(told, [(item.chunk, item.passage) for item in found])


def _in_full(question: str, found: Sequence[FoundPassage]) -> tuple[str, list[str]]:
    """The question in the passages' words, and which of them are not the question's own."""
    texts = [_text(item) for item in found]
    forms = short_forms(question, texts)
    for short, full in forms.items():
        question = question.replace(short, full)
    right = _misspelt(question, texts)
    return corrected(question, right), list(dict.fromkeys([*forms.values(), *right.values()]))


def _with_holders(
    search: Callable[..., SearchReport], text: str, how: dict[str, Any], report: SearchReport
) -> SearchReport:
    """The report, its last passages replaced by those that hold words of the text which only looked misspelt: each
    such word is searched for by itself. With its passage on record it stays as it is."""
    held: dict[int, FoundPassage] = {}
    for word in _misspelt(text, map(_text, report.passages)):
        found = search(text=word, **how).passages
        held |= {item.chunk.pk: item for item in [each for each in found if holds(_text(each), word)][:1]}
    if not held:
        return report
    kept = report.passages[: max(0, len(report.passages) - len(held))]
    last = report.passages[-1].score
    return replace(report, passages=[*kept, *(replace(item, score=min(item.score, last)) for item in held.values())])


def _misspelt(question: str, texts: Iterable[str]) -> dict[str, str]:
    return misspelt(question, texts, _common, synonyms.packaged().entries)


def _text(item: FoundPassage) -> str:
    return "\n".join((item.passage.title, *item.passage.headings, item.passage.shown.text))


@lru_cache(maxsize=10_000)
def _common(word: str) -> bool:
    """Whether the embedding model knows the word whole."""
    return engines.embedder().count_tokens([word]) == [1]
