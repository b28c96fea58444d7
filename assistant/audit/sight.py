"""Who saw which document, and how, told from the events alone. Knows: what each action's detail says. Does not know:
people, documents, texts.

    cited        quoted to the person in an answer
    used         given to the engine that wrote the answer, not quoted
    found        retrieved for the person and kept from the answer
    search       shown in search results
    page         a page opened
    download     the original downloaded
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from .models import AuditEvent

_TARGETED = {"document.page_viewed": "page", "document.downloaded": "download"}
_LISTED = ("answer.shown", "answer.cancelled", "answer.failed", "answer.refused", "search.shown")
_ACTIONS = (*_TARGETED, *_LISTED)


@dataclass(slots=True)
class Sights:
    """One person's looks at one document: how often in which way, and when."""

    who: str
    document: str
    first: datetime
    last: datetime
    last_seq: int
    ways: Counter[str] = field(default_factory=Counter)

    @property
    def read(self) -> bool:
        """Words of it reached the person (rather than only an engine, or nobody)."""
        return any(self.ways[way] for way in ("cited", "search", "page", "download"))


def of_document(found: QuerySet[AuditEvent], document: str) -> list[Sights]:
    """People who saw the document, the latest first. `found` are the events that mention it."""
    seen = _gathered((event, item) for event, item in _looks(found) if item[0] == document)
    return sorted(seen.values(), key=lambda item: item.last, reverse=True)


def of_person(found: QuerySet[AuditEvent]) -> list[Sights]:
    """Documents the events' person saw, the latest first."""
    return sorted(_gathered(_looks(found)).values(), key=lambda item: item.last, reverse=True)


def _looks(found: QuerySet[AuditEvent]) -> Iterator[tuple[AuditEvent, tuple[str, str]]]:
    wanted = found.filter(Q(action__in=_ACTIONS) & ~Q(outcome="intent")).only(
        "seq", "at", "actor", "action", "target_id", "detail"
    )
    for event in wanted.iterator(chunk_size=2000):
        for item in ways(event.action, event.target_id, event.detail):
            yield event, item


def ways(action: str, target_id: str, detail: dict[str, Any]) -> set[tuple[str, str]]:
    """(document, way) for everything one event says was seen."""
    if action in _TARGETED:
        return {(target_id, _TARGETED[action])}
    if action == "search.shown":
        return {(document, "search") for document in detail.get("documents", ())}
    shown = set(detail.get("shown", ()))
    cited = {(item["document"], "cited") for item in detail.get("cited", ())}
    quoted = {document for document, _ in cited}
    read: dict[str, bool] = {}
    for item in detail.get("retrieved", ()):
        read[item["document"]] = read.get(item["document"], False) or item["chunk"] in shown
    return cited | {(key, "used" if used else "found") for key, used in read.items() if key not in quoted}


def _gathered(looks: Iterable[tuple[AuditEvent, tuple[str, str]]]) -> dict[tuple[str, str], Sights]:
    seen: dict[tuple[str, str], Sights] = {}
    for event, (document, way) in looks:  # newest first
        key = (event.actor, document)
        known = seen.setdefault(key, Sights(event.actor, document, event.at, event.at, event.seq))
        known.first = min(known.first, event.at)
        known.ways[way] += 1
    return seen
