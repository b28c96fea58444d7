"""Searches and reads a question in the words of what it finds: 年假 as 年休假, hollidays as holidays.

Only passages the person may read, as they may see them, say what a short form or a misspelling stands for. What is read
follows from the passages on record alone, so that a replay reads the same. Knows searching; the words are those of
`retrieval.wording` and `retrieval.spelling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from assistant import engines
from assistant.documents.search import FoundPassage, SearchReport
from retrieval.spelling import corrected
from retrieval.wording import in_full


def searched(search: Callable[..., SearchReport], text: str, **how: Any) -> SearchReport:
    """What is found for the text; where it holds a short form or a misspelling of what is found, for that in full."""
    report = search(text=text, **how)
    full = in_full_words(text, report.passages)
    return report if full == text else search(text=full, **how)


def in_full_words(question: str, found: Sequence[FoundPassage]) -> str:
    """The question as the reader gets it; the person, the record and the engine keep their own words."""
    texts = ["\n".join((item.passage.title, *item.passage.headings, item.passage.shown.text)) for item in found]
    return corrected(in_full(question, texts), texts, _common)


@lru_cache(maxsize=10_000)
def _common(word: str) -> bool:
    """Whether the embedding model knows the word whole."""
    return engines.embedder().count_tokens([word]) == [1]
