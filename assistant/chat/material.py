"""What goes to an engine, and the way back from a sentence to the words on a page. Knows no search and no engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from assistant import engines
from assistant.accounts.models import User
from assistant.documents import personal
from assistant.documents.search import FoundPassage, together
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
    table: Mapping[str, str] = field(default_factory=dict)  # pseudonyms in `messages`, to be turned back
    hidden: tuple[str, ...] = ()  # parts of the prompt that must not come out again


def passage_of(item: FoundPassage) -> Passage:
    """The passage as an engine gets it: of a flagged one the suspect sentences are blank, the rest keeps its places."""
    chunk = item.chunk
    flagged = chunk.suspicion >= injection.THRESHOLD_BANNER
    shown = item.passage.shown.text
    text = injection.without_suspects(shown, embed=engines.embedder().embed) if flagged else shown
    return Passage(
        id=str(chunk.pk),
        text=text,
        title=item.passage.title,
        headings=item.passage.headings,
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


def under_one_rule(user: User, given: Material) -> tuple[Material, personal.Rule]:
    """The material as one answer may draw on it: under the strictest rule of its collections, and that rule."""
    strict, rule = together(user, given.found)
    moved = {}
    passages = list(given.passages)
    for number, (old, new) in enumerate(zip(given.found, strict, strict=True)):
        if old.passage != new.passage:
            passages[number], moved[number] = passage_of(new), (old.passage.shown, new.passage.shown)
    evidence = tuple(
        replace(
            item,
            char_start=moved[item.passage][1].here(moved[item.passage][0].there(item.char_start)),
            char_end=moved[item.passage][1].here(moved[item.passage][0].there(item.char_end, end=True), end=True),
        )
        if item.passage in moved
        else item
        for item in given.evidence
    )
    return replace(given, found=tuple(strict), passages=tuple(passages), evidence=evidence), rule


def disguised(
    rule: personal.Rule, question: str, turns: list[Message], passages: tuple[Passage, ...]
) -> tuple[str, list[Message], tuple[Passage, ...], dict[str, str]]:
    """What a language model reads: pseudonyms, where the policy says so, and the table that turns them back."""
    if not rule.disguise:
        return question, turns, passages, {}
    texts = {"question": question}
    texts |= {f"turn {number}": turn.content for number, turn in enumerate(turns)}
    for passage in passages:
        texts |= {passage.id: passage.text, f"{passage.id} title": passage.title}
        texts |= {f"{passage.id} {number}": heading for number, heading in enumerate(passage.headings)}
    hidden, table = personal.disguised(texts, rule)
    read = tuple(
        replace(
            passage,
            text=hidden[passage.id],
            title=hidden[f"{passage.id} title"],
            headings=tuple(hidden[f"{passage.id} {number}"] for number in range(len(passage.headings))),
            sentences=tuple(analysis.sentences(hidden[passage.id])),
        )
        for passage in passages
    )
    said = [replace(turn, content=hidden[f"turn {number}"]) for number, turn in enumerate(turns)]
    return hidden["question"], said, read, table


def retrieved(found: Sequence[FoundPassage]) -> list[dict[str, Any]]:
    """What was found, for the record: numbers, no words."""
    return [
        {
            "chunk": item.chunk.pk,
            "document": str(item.chunk.document_id),
            "page": item.chunk.page,
            "score": round(item.score, 4),
        }
        for item in found
    ]


def source(number: int, item: FoundPassage) -> dict[str, Any]:
    document = item.chunk.document
    return {
        "marker": number,
        "document": document.pk,
        "title": item.passage.title,
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
        title=item.passage.title,
        collection=document.collection.slug,
        page=chunk.page,
        text=passage.text[support.start : support.end],
        char_start=chunk.char_start + item.passage.shown.there(support.start),
        char_end=chunk.char_start + item.passage.shown.there(support.end, end=True),
        verified=support.verified,
        support=support.score,
    )
