"""What goes to an engine, and the way back from a sentence to the words on a page. Knows no search and no engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from assistant import engines
from assistant.documents.search import FoundPassage
from assistant.guardrails import injection
from inference.engines.base import Evidence, Message, Passage
from retrieval import text as analysis

from . import citations
from .closing import Quote


@dataclass(frozen=True, slots=True)
class Material:
    """What goes to an engine: numbered passages, where each comes from, and the evidence in them."""

    found: tuple[FoundPassage, ...]
    passages: tuple[Passage, ...]
    evidence: tuple[Evidence, ...]
    messages: tuple[Message, ...] = ()
    inherited: frozenset[UUID] = frozenset()  # documents that earlier turns in `messages` rest on
    hidden: tuple[str, ...] = ()  # parts of the prompt that must not come out again


def passage_of(item: FoundPassage) -> Passage:
    """The passage as an engine gets it: of a flagged one the suspect sentences are blank, the rest keeps its places."""
    chunk = item.chunk
    flagged = chunk.suspicion >= injection.THRESHOLD_BANNER
    text = injection.without_suspects(chunk.text, embed=engines.embedder().embed) if flagged else chunk.text
    return Passage(
        id=str(chunk.pk),
        text=text,
        title=chunk.document.title,
        headings=tuple(chunk.headings),
        score=item.score,
        sentences=tuple(analysis.sentences(text)),
    )


def quotable(
    found: tuple[FoundPassage, ...], passages: tuple[Passage, ...], evidence: tuple[Evidence, ...]
) -> Material:
    """For quoting: only the passages that hold evidence, numbered in the order in which they will be quoted."""
    order = list(dict.fromkeys(item.passage for item in evidence))
    numbers = {old: new for new, old in enumerate(order)}
    return Material(
        tuple(found[index] for index in order),
        tuple(passages[index] for index in order),
        tuple(replace(item, passage=numbers[item.passage]) for item in evidence),
    )


def source(number: int, item: FoundPassage) -> dict[str, Any]:
    document = item.chunk.document
    return {
        "marker": number,
        "document": document.pk,
        "title": document.title,
        "collection": document.collection.slug,
        "page": item.chunk.page,
    }


def quote(sentence: str, marker: int, material: Material) -> Quote:
    """Where the passage under `marker` supports the sentence, in characters of its page."""
    item, passage = material.found[marker - 1], material.passages[marker - 1]
    chunk, document = item.chunk, item.chunk.document
    support = citations.check(sentence, citations.Source(passage.text, " ".join((passage.title, *passage.headings))))
    return Quote(
        marker=marker,
        document=document.pk,
        version=chunk.version_id,
        chunk=chunk.pk,
        title=document.title,
        collection=document.collection.slug,
        page=chunk.page,
        text=passage.text[support.start : support.end],
        char_start=chunk.char_start + support.start,
        char_end=chunk.char_start + support.end,
        verified=support.verified,
        support=support.score,
    )
