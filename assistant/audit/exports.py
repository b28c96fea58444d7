"""Hands events out: JSON Lines that can be verified elsewhere, CSV for a spreadsheet, CEF for a log collector.

Knows: events and the three formats. Does not know: who may have them (`accounts.review`), HTTP. Texts never leave here.

JSON Lines, in this order: one `header`; `pruning`, `checkpoint` and `segment` (a whole log) or `tree` (a selection)
lines; the `event` lines by number; one signed `trailer`. In a selection each event carries its inclusion proof in a
tree whose root the trailer's signature covers. `exported.verify_file` reads it back without a database.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from . import cef, chain, keys, reading, retention, services
from .models import AuditEvent
from .verification import Link

FORMAT, FORMAT_VERSION = "assistant-audit", 1


def _line(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":")) + "\n"


def jsonl(selection: QuerySet[AuditEvent] | None = None) -> Iterator[str]:
    """The whole log, or a selection with an inclusion proof for each event."""
    ours = services.current_keys()
    now = chain.timestamp(timezone.now())
    newest = AuditEvent.objects.order_by("-seq").first()
    last = newest.seq if newest else 0
    header = {
        "format": FORMAT, "version": FORMAT_VERSION, "at": now, "public_key": ours.public,
        "selection": selection is not None, "last": last,
    }  # fmt: skip
    yield _line("header", **header)
    if selection is None:
        yield from _whole(ours, now, last, newest.digest if newest else chain.GENESIS)
    else:
        yield from _selected(ours, now, last, selection.filter(seq__lte=last).order_by("seq"))


def _event(link: Link, **more: Any) -> str:
    return _line("event", **link.record, digest=link.digest, mac=link.mac, **more)


def _whole(ours: keys.Keys, now: str, last: int, digest: str) -> Iterator[str]:
    prunings = retention.prunings()
    for pruning in prunings:
        yield _line("pruning", **pruning.statement, signature=pruning.signature)
    for item in reading.checkpoints():
        if item.seq <= last:
            yield _line("checkpoint", **item.statement, signature=item.signature)
    for segment in reading.segments():
        if segment.last <= last:
            yield _line("segment", first=segment.first, last=segment.last, root=segment.root)
    for link in reading.links(AuditEvent.objects.filter(seq__lte=last).order_by("seq")):
        yield _event(link)
    events = last - (prunings[-1].last if prunings else 0)
    statement = {"events": events, "last": last, "digest": digest, "at": now}
    yield _line("trailer", **statement, signature=keys.sign(ours, statement))


def _selected(ours: keys.Keys, now: str, last: int, selection: QuerySet[AuditEvent]) -> Iterator[str]:
    """Trees: the sealed segments that hold a selected event, and one over the events not sealed yet."""
    sealed = [(item.first, item.last, item.root) for item in reading.segments() if item.last <= last]
    tail = sealed[-1][1] + 1 if sealed else 1  # a pruned event was sealed, so the tail is all there
    if tail <= last:
        sealed.append((tail, last, chain.merkle_root(_digests(tail, last).iterator(chunk_size=2000))))
    wanted = [tree for tree in sealed if selection.filter(seq__range=tree[:2]).exists()]
    for first, end, root in wanted:
        yield _line("tree", first=first, last=end, root=root)
    count = 0
    for first, end, _root in wanted:
        tree = chain.Tree(list(_digests(first, end)))
        for link in reading.links(selection.filter(seq__range=(first, end))):
            count += 1
            yield _event(link, tree=first, proof=tree.proof(link.record["seq"] - first))
    statement = {"events": count, "trees": [list(tree) for tree in wanted], "at": now}
    yield _line("trailer", **statement, signature=keys.sign(ours, statement))


def _digests(first: int, last: int) -> QuerySet[AuditEvent, str]:
    return AuditEvent.objects.filter(seq__range=(first, last)).order_by("seq").values_list("digest", flat=True)


# --- for people and machines that only read ---

_COLUMNS = (
    "seq", "at", "action", "outcome", "actor", "role", "target_type", "target_id", "session", "origin",
    "request_id", "detail", "digest",
)  # fmt: skip


def csv_rows(selection: QuerySet[AuditEvent]) -> Iterator[str]:
    """UTF-8 with a byte order mark, one row per event; no cell can start a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield "\ufeff"
    writer.writerow(_COLUMNS)
    for link in reading.links(selection.order_by("seq")):
        fields: dict[str, Any] = {**link.record, "digest": link.digest}
        fields["detail"] = json.dumps(fields["detail"], ensure_ascii=False, sort_keys=True)
        writer.writerow([harmless(str(fields[name])) for name in _COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def harmless(cell: str) -> str:
    """A spreadsheet runs cells that begin so (OWASP, CSV injection); an apostrophe makes them text."""
    return (
        f"'{cell}"
        if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
        else cell
    )


def cef_lines(selection: QuerySet[AuditEvent]) -> Iterator[str]:
    """ArcSight Common Event Format, one event per line."""
    for link in reading.links(selection.order_by("seq")):
        yield cef.line(link) + "\n"
