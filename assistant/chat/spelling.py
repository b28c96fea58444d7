"""The other words that a question was searched for ("holidays" for "hollidays"), told to who asked.

The words are those of documents, so none is kept with the answer: what is kept is where each stands. It is told only as
long as its reader may read the passage, and sees the line it stands in as it is written. Knows passages and places in
them; does not know how the words came to be (`wording`), nor how searching works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

from assistant.accounts.models import User
from assistant.documents import personal, policy
from assistant.documents.models import Chunk

from .models import Answer

Place = dict[str, int]  # {"chunk", "part": title, headings and text in this order, "start", "end": in that part}


def places(words: Iterable[str], found: Sequence[tuple[Chunk, personal.Passage]]) -> list[Place]:
    """Where each word first stands in the passages; in the text rather than in title or headings."""
    known = [place for word in words if (place := _place(word, found))]
    return sorted(known, key=lambda place: (place["chunk"], place["part"], place["start"]))


def told(actor: User, answers: Iterable[Answer]) -> dict[UUID, tuple[str, ...]]:
    """The words of each answer that has any, as far as the actor may see them now."""
    kept = {row.pk: row.evidence["also"] for row in answers if row.evidence.get("also")}
    if not kept:
        return {}
    wanted = {place["chunk"] for each in kept.values() for place in each}
    chunks = policy.readable_chunks(actor).filter(pk__in=wanted).select_related("document").in_bulk()
    rules = personal.rules(actor)
    shown = personal.passages(chunks.values(), lambda row: rules.of(row.document.collection_id))
    parts = {pk: _plain_parts(chunk, shown[pk]) for pk, chunk in chunks.items()}
    return {
        answer: tuple(filter(None, (_word(place, parts[place["chunk"]]) for place in each if place["chunk"] in parts)))
        for answer, each in kept.items()
    }


def _word(place: Place, parts: list[str]) -> str:
    return parts[place["part"]][place["start"] : place["end"]]


def _place(word: str, found: Sequence[tuple[Chunk, personal.Passage]]) -> Place | None:
    parts = [(chunk, _plain_parts(chunk, passage)) for chunk, passage in found]
    wanted = re.compile(rf"(?<![a-z]){re.escape(word)}", re.IGNORECASE)
    for of_text in (True, False):
        for chunk, texts in parts:
            for number, text in enumerate(texts):
                if (number == len(texts) - 1) == of_text and (match := wanted.search(text)):
                    return {"chunk": chunk.pk, "part": number, "start": match.start(), "end": match.end()}
    return None


def _plain_parts(chunk: Chunk, passage: personal.Passage) -> list[str]:
    """Title, headings and text; what is shown otherwise than it is written is left empty."""
    written = (chunk.document.title, *chunk.headings, chunk.text)
    shown = (passage.title, *passage.headings, passage.shown.text)
    return [text if text == as_shown else "" for text, as_shown in zip(written, shown, strict=True)]
