"""The map of personal data: how many values of which class lie where. Counts only, never a value.

Knows: what ingestion counted for the version of each document that answers, so that a deletion, a new version and a
move are right at once. Does not know: how values are found. Titles are told to those who may see the document; others
get its number.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.audit.exports import harmless
from assistant.documents import personal, policy
from assistant.documents.models import Document, PersonalDataPolicy


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """`title` is "" for a document that the person cannot see."""

    document: UUID
    title: str
    collection: str
    counts: dict[str, int]
    total: int


@dataclass(frozen=True, slots=True)
class CollectionCounts:
    """`guarded`: a policy hides something of it from somebody."""

    slug: str
    name: str
    counts: dict[str, int]
    total: int
    documents: int
    guarded: bool


@dataclass(frozen=True, slots=True)
class PersonalDataMap:
    """`uncounted`: documents whose turn in the background has not come yet; they are in no number."""

    collections: tuple[CollectionCounts, ...]
    documents: tuple[DocumentCounts, ...]
    counts: dict[str, int]
    total: int
    uncounted: int


def personal_data_map(*, actor: User, collection: str = "", kind: str = "") -> PersonalDataMap:
    """Documents with the most values first; narrowed to a collection's slug or a class. Raises PermissionRefused."""
    require(actor, Duty.REVIEW_PERSONAL_DATA)
    rows = Document.objects.filter(current__isnull=False).order_by("pk")
    if collection:
        rows = rows.filter(collection__slug=collection)
    uncounted = rows.filter(current__personal_data__isnull=True).count()
    found = rows.filter(current__personal_data__isnull=False).exclude(current__personal_data={})
    lines = []
    sums: dict[int, Counter[str]] = {}
    names: dict[int, tuple[str, str]] = {}
    documents: Counter[int] = Counter()
    for pk, place, slug, name, counts in found.values_list(
        "pk", "collection", "collection__slug", "collection__name", "current__personal_data"
    ):
        kept = {each: number for each, number in (counts or {}).items() if not kind or each == kind}
        if not kept:
            continue
        names[place] = (slug, name)
        sums.setdefault(place, Counter()).update(kept)
        documents[place] += 1
        lines.append((sum(kept.values()), pk, slug, kept))
    lines.sort(key=lambda line: (-line[0], str(line[1])))
    titles = _titles(actor, [pk for _, pk, _, _ in lines])
    hiding = {row.collection_id for row in PersonalDataPolicy.objects.all() if personal.hides(row)}
    collections = [
        CollectionCounts(*names[place], dict(sorted(counts.items())), counts.total(), documents[place], place in hiding)
        for place, counts in sums.items()
    ]
    everything = sum(sums.values(), Counter[str]())
    return PersonalDataMap(
        tuple(sorted(collections, key=lambda each: (-each.total, each.slug))),
        tuple(DocumentCounts(pk, titles.get(pk, ""), slug, kept, total) for total, pk, slug, kept in lines),
        dict(sorted(everything.items())),
        everything.total(),
        uncounted,
    )


def export_personal_data_map(*, actor: User, collection: str = "", kind: str = "") -> str:
    """The documents of the map as CSV, one line for each class of each, after the export is on record. Cells cannot be
    taken for formulas. Raises PermissionRefused, AuditUnavailable."""
    found = personal_data_map(actor=actor, collection=collection, kind=kind)
    audit.intent(
        action="personal_data.map_exported",
        detail={"collection": collection, "class": kind, "documents": len(found.documents)},
    )
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["collection", "document", "title", "class", "count"])
    for line in _lines(found):
        writer.writerow([harmless(value) for value in line])
    return file.getvalue()


def _lines(found: PersonalDataMap) -> Iterator[list[str]]:
    for line in found.documents:
        for kind, number in line.counts.items():
            yield [line.collection, str(line.document), line.title, kind, str(number)]


def _titles(actor: User, keys: list[UUID]) -> dict[UUID, str]:
    rows = list(policy.visible_documents(actor).filter(pk__in=keys))
    personal.veil(actor, rows)
    return {row.pk: row.title for row in rows}
