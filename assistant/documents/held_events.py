"""Which hold keeps which audit events: those about, by, or naming what is under legal hold are not pruned.

Knows: living holds, and how events name people, documents and collections. Does not know: segments and permits; the
log asks before it lets events go (see `apps` and `audit.retention`).
"""

from __future__ import annotations

import re

from assistant.audit import chain
from assistant.audit.models import AuditEvent

from .holds import living
from .models import Collection, Document, HoldKind

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def keeper_of(first: int, last: int) -> int | None:
    """The number of a hold that keeps an event between `first` and `last`; None when all may go."""
    people, documents, collections = _held()
    if not (people or documents or collections):
        return None
    events = AuditEvent.objects.filter(seq__range=(first, last)).order_by("seq")
    columns = ("actor", "target_type", "target_id", "detail")
    for actor, kind, target, detail in events.values_list(*columns).iterator(chunk_size=1000):
        if found := people.get(actor) or people.get(f"{kind}:{target}"):
            return found
        if kind == "collection" and (found := collections.get(target)):
            return found
        named = chain.canonical(detail).decode()
        for key in (target, *_ID.findall(named)):
            if found := documents.get(key):
                return found
        if found := _place(detail, collections):
            return found
    return None


def _held() -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Names under which events know the held people, documents and collections: the hold of each."""
    people: dict[str, int] = {}
    documents: dict[str, int] = {}
    collections: dict[str, int] = {}
    for row in living():
        if row.kind == HoldKind.PERSON:
            people[f"user:{row.target}"] = row.pk
        elif row.kind == HoldKind.DOCUMENT:
            documents[row.target] = row.pk
        else:
            slugs = Collection.objects.filter(pk=row.target).values_list("slug", flat=True)
            collections.update(dict.fromkeys((row.target, *slugs), row.pk))
            inside = Document.objects.filter(collection=int(row.target)).values_list("pk", flat=True)
            documents.update(dict.fromkeys((str(key) for key in inside), row.pk))
    return people, documents, collections


def _place(detail: dict[str, object], collections: dict[str, int]) -> int | None:
    for name in ("collection", "collections", "from", "to"):
        value = detail.get(name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str | int) and (found := collections.get(str(item))):
                return found
    return None
