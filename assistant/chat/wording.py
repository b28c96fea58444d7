"""Searches and reads a Chinese question in the full words of what it finds: 年假 as 年休假 where documents say so.

Only passages the person may read, as they may see them, say what a short form stands for. What is read follows from
the passages on record alone, so that a replay reads the same. Knows searching; the words are `retrieval.wording`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from assistant.documents.search import FoundPassage, SearchReport
from retrieval.wording import in_full


def searched(search: Callable[..., SearchReport], text: str, **how: Any) -> SearchReport:
    """What is found for the text; where it holds a short form of what is found, for the text in full words."""
    report = search(text=text, **how)
    full = in_full_words(text, report.passages)
    return report if full == text else search(text=full, **how)


def in_full_words(question: str, found: Sequence[FoundPassage]) -> str:
    """The question as the reader gets it; the person, the record and the engine keep their own words."""
    return in_full(
        question, ("\n".join((item.passage.title, *item.passage.headings, item.passage.shown.text)) for item in found)
    )
