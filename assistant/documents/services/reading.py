"""Looking at documents: state, original, pages and their pictures. Knows: who may open which version, and that every
opening is on record before anything is shown. Does not know: how a page is drawn (`retrieval.parsing`, in a child).

A reader opens the current version, and earlier ones that once answered, since citations point into them. A manager
opens every version, also one in quarantine.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Collection as Container
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO

from django.core import signing
from django.db.models import QuerySet

from assistant import collation
from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.documents import personal, policy, storage
from assistant.documents.models import Document, DocumentVersion, Page, Status
from assistant.errors import Invalid, NotFound, PermissionRefused, Unavailable
from assistant.vault import ring
from assistant.vault.errors import KeyDestroyed
from retrieval.errors import ParseError
from retrieval.parsing import Limits, can_render, render_page
from retrieval.schema import ParsedPage, TextBox

from .access import document_target
from .privacy import may_reveal

WIDTHS = (400, 800, 1200, 1600)  # pixels; a closed list keeps the cache small
_LIMITS = Limits(seconds=30.0, cpu_seconds=30, memory_bytes=2048 * 2**20)
_LOOK = "assistant.documents.look"
LOOK_SECONDS = 300
_DRAWING = threading.BoundedSemaphore(2)  # children at once, for each web process


@dataclass(frozen=True, slots=True)
class State:
    """A document's state as one person may know it: readers see the version that answers, managers the newest."""

    status: str
    stage: str = ""
    progress: float = 1.0
    pages_done: int = 0
    pages_total: int | None = None
    error_code: str = ""
    error: str = ""
    attempt: int = 0
    version: int = 1
    filename: str = ""
    media_type: str = ""
    size: int = 0
    uploaded_at: datetime | None = None
    warnings: tuple[str, ...] = ()
    hidden_text: tuple[dict[str, Any], ...] = ()
    manages: bool = False
    withheld: bool = False  # original and pictures, for the personal data that may be in them
    ahead: int = 0  # files that are waiting and were sent before this one; 0 unless it is waiting itself


@dataclass(frozen=True, slots=True)
class Original:
    """An open file; the caller closes it."""

    file: BinaryIO
    filename: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class PageView:
    document: Document
    version: int
    current: bool  # of the version that answers now
    number: int
    pages: int
    label: str
    text: str
    ocr: bool
    has_picture: bool
    suspicious: bool  # something on it reads like an instruction to the assistant
    shown: personal.Shown  # `text`, with its places in the page's own
    withheld: str = ""  # for personal data: "picture" (the original too), or "text" as well
    reveals: bool = False  # the person may turn pseudonyms back, with a reason
    look: str = ""  # names this looking, which is on record: its picture is not recorded again (`page_picture`)


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as PNG; for each quote the rectangles where it stands, as fractions (x0, y0, x1, y1) of the page."""

    png: bytes
    width: int
    height: int
    boxes: tuple[tuple[tuple[float, float, float, float], ...], ...] = field(default=())


def documents(*, actor: User, collection: str | None = None) -> QuerySet[Document]:
    """The person's library, newest first, ready for `states`. An unknown or foreign collection raises NotFound."""
    found = policy.visible_documents(actor)
    if collection is not None:
        found = found.filter(collection=policy.get_visible_collection(actor, collection))
    return found.select_related("collection", "scope", "owner", "current").prefetch_related("versions")


def arranged(*, actor: User, rows: QuerySet[Document], words: str = "", by: str = "title") -> list[uuid.UUID]:
    """The rows' ids, in order: `by` is title, type (then title) or updated, with "-" for the reverse; with `words` only
    those whose title, as the person may see it, holds them. Titles are sealed, so the order is made here and not by the
    database."""
    ring.load("document", rows.order_by().values_list("pk", flat=True))
    rules = personal.rules(actor)
    found = [
        (pk, personal.label(title, rules.of(place)), kind, changed)
        for pk, title, place, kind, changed in rows.order_by("pk").values_list(
            "pk", "title", "collection", "current__media_type", "updated_at"
        )
    ]
    wanted = words.casefold()
    kept = [row for row in found if wanted in row[1].casefold()]
    order: dict[str, Callable[[Any], Any]] = {
        "title": lambda row: collation.key(row[1]),
        "type": lambda row: (row[2] or "", collation.key(row[1])),
        "updated": lambda row: row[3],
    }
    kept.sort(key=order[by.removeprefix("-")], reverse=by.startswith("-"))
    return [row[0] for row in kept]


def states(*, actor: User, documents: Iterable[Document], hidden: bool = False) -> list[tuple[Document, State]]:
    """Each document with its state for this person; one query for the rights of all. `hidden`: with the text that its
    readers cannot see, for managers, after the viewing is on record. Raises AuditUnavailable."""
    rows = list(documents)
    managed = set(policy.managed_documents(actor).filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
    personal.veil(actor, rows)
    rules = personal.rules(actor)
    found = [(row, _state(row, managed, rules.of(row.collection_id))) for row in rows]
    if not hidden:
        found = [(row, replace(state, hidden_text=())) for row, state in found]
    elif shown := [row.pk for row, state in found if state.hidden_text]:
        detail = {"documents": [str(pk) for pk in shown]}
        audit.record(action="document.hidden_viewed", target=document_target(shown[0]), detail=detail)
    if not any(state.manages and state.status == Status.QUEUED for _row, state in found):
        return found
    waiting = list(DocumentVersion.objects.filter(status=Status.QUEUED).order_by("pk").values_list("pk", flat=True))
    return [(row, _placed(row, state, waiting)) for row, state in found]


def _placed(row: Document, state: State, waiting: Sequence[int]) -> State:
    """With its place among the waiting, for those who manage it."""
    if not state.manages or state.status != Status.QUEUED:
        return state
    return replace(state, ahead=bisect_left(waiting, row.latest.pk))


def state(*, actor: User, document: Document, hidden: bool = False) -> State:
    return states(actor=actor, documents=[document], hidden=hidden)[0][1]


def open_original(*, actor: User, document: Document, version: int | None = None) -> Original:
    """The uploaded file, after the download is on record. Raises NotFound."""
    row, chosen = _open(actor, document, version)
    _check_whole(actor, row)
    detail = {"version": chosen.number, "sha256": chosen.sha256}
    audit.record(action="document.downloaded", target=document_target(row.pk), detail=detail)
    try:
        file = storage.open_original(chosen.stored, chosen.file_key)
    except FileNotFoundError as error:  # deleted a moment ago
        raise NotFound from error
    return Original(file, chosen.filename, chosen.media_type, chosen.size)


def page(*, actor: User, document: Document, number: int, version: int | None = None) -> PageView:
    """One page's text, after the viewing is on record. Raises NotFound."""
    row, chosen = _open(actor, document, version)
    found = _page(chosen, number)
    rule = personal.rules(actor).of(row.collection_id)
    shown = personal.treated(found.text, rule)
    refused = rule.treatment == personal.Treatment.REFUSE and bool(shown.edits)
    pictured = rule.shows and can_render(chosen.media_type)
    _viewed(row, chosen, number, picture=pictured)
    return PageView(
        document=row,
        version=chosen.number,
        current=chosen.pk == row.current_id,
        number=number,
        pages=chosen.pages.count(),
        label=personal.label(found.label, rule),
        text="" if refused else shown.text,
        ocr=found.ocr,
        suspicious=chosen.status == Status.QUARANTINED or policy.suspicious(chosen.chunks.filter(page=number)).exists(),
        has_picture=pictured,
        shown=personal.Shown("") if refused else shown,
        withheld="text" if refused else "" if rule.shows else "picture",
        reveals=may_reveal(rule),
        look=signing.dumps(_looking(actor, row, chosen, number), salt=_LOOK) if pictured else "",
    )


def page_picture(
    *,
    actor: User,
    document: Document,
    number: int,
    version: int | None = None,
    width: int = 1200,
    quotes: Sequence[str] = (),
    look: str = "",
) -> Picture:
    """The page drawn, after the viewing is on record: here, or for LOOK_SECONDS with `page`, whose `look` says so.
    Raises NotFound (also for kinds without pictures), Invalid, Unavailable when it cannot be drawn now."""
    if width not in WIDTHS:
        message = f"Use one of {', '.join(map(str, WIDTHS))}."
        raise Invalid("The width is not offered.", fields={"width": [message]})
    if len(quotes) > 20 or any(len(quote) > 4000 for quote in quotes):
        raise Invalid("Too many or too long quotes.", fields={"quote": ["At most 20 quotes of 4000 characters."]})
    row, chosen = _open(actor, document, version)
    found = _page(chosen, number)
    _check_whole(actor, row)
    if not can_render(chosen.media_type):
        raise NotFound
    if not _looked(look, _looking(actor, row, chosen, number)):
        _viewed(row, chosen, number, picture=True)
    return _drawn(row, chosen, found, width, quotes)


def _check_whole(actor: User, row: Document) -> None:
    """What cannot be masked is not given. Whether this document holds personal data is not asked: recognisers read
    text, and a picture may hold more. Raises PermissionRefused."""
    if not personal.rules(actor).of(row.collection_id).shows:
        raise PermissionRefused(
            "Originals and pictures of this collection are not offered to your role: personal data in them cannot be "
            "masked. Read the text of its pages.",
            code="personal_data",
        )


def _state(row: Document, managed: Container[uuid.UUID], rule: personal.Rule) -> State:
    manages = row.pk in managed
    shown = row.latest if manages or row.current is None else row.current
    common: dict[str, Any] = {
        "status": shown.status,
        "version": shown.number,
        "filename": personal.label(shown.filename, rule),
        "withheld": not rule.shows,
        "media_type": shown.media_type,
        "size": shown.size,
        "uploaded_at": shown.created_at,
        "pages_done": shown.pages_done,
        "pages_total": shown.pages_total,
        "manages": manages,
    }
    if not manages:
        return State(**common)
    return State(
        **common,
        stage=shown.stage,
        progress=shown.progress,
        error_code=shown.error_code,
        error=shown.error,
        attempt=shown.attempt,
        warnings=tuple(shown.warnings),
        hidden_text=tuple({**item, "text": personal.label(item["text"], rule)} for item in shown.hidden_text),
    )


def _open(actor: User, document: Document, number: int | None) -> tuple[Document, DocumentVersion]:
    """The version the person may open, current unless numbered. Raises NotFound."""
    row: Document = policy.get_visible_document(actor, document.pk)
    manages = policy.managed_documents(actor).filter(pk=row.pk).exists()
    versions = row.versions.all() if manages else row.versions.filter(status=Status.READY)
    chosen = row.current or versions.first()
    if number is not None:
        chosen = versions.filter(number=number).first()
    if chosen is None:
        raise NotFound
    return row, chosen


def _page(version: DocumentVersion, number: int) -> Page:
    found = version.pages.filter(number=number).first() if 0 < number < 2**31 else None
    if found is None:
        raise NotFound
    return found


def _looking(actor: User, row: Document, version: DocumentVersion, number: int) -> list[Any]:
    return [actor.pk, str(row.pk), version.number, number]


def _looked(look: str, wanted: list[Any]) -> bool:
    """Whether `look` was given out lately for just this: this person, version and page."""
    try:
        return bool(signing.loads(look, salt=_LOOK, max_age=LOOK_SECONDS) == wanted)
    except signing.BadSignature:
        return False


def _viewed(row: Document, version: DocumentVersion, number: int, *, picture: bool) -> None:
    detail = {"version": version.number, "page": number, "picture": picture}
    audit.record(action="document.page_viewed", target=document_target(row.pk), detail=detail)


def _drawn(row: Document, version: DocumentVersion, found: Page, width: int, quotes: Sequence[str]) -> Picture:
    """From the cache, else drawn in a sandboxed child. The cache holds pictures and rectangles, never a quote."""
    folder = storage.pictures(row.pk)
    stem = f"{version.number}-{found.number}-{width}"
    marks = folder / f"{stem}-{hashlib.sha256(chr(0).join(quotes).encode()).hexdigest()[:24]}.json"
    image = folder / f"{stem}.png"
    try:
        known = json.loads(storage.kept(marks))
        boxes = tuple(tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in quote) for quote in known["boxes"])
        return Picture(storage.kept(image), known["width"], known["height"], boxes)
    except (OSError, ValueError, KeyError):  # not drawn yet, or half a file after a crash: draw it
        pass
    with _turn():
        try:
            with storage.readable(version.stored, version.file_key) as path:
                drawn = render_page(
                    path,
                    found.number,
                    limits=_LIMITS,
                    width=width,
                    quotes=quotes,
                    page=_as_parsed(found) if found.ocr else None,
                    filename=version.filename,
                )
        except FileNotFoundError as error:
            raise NotFound from error
        except ParseError as error:
            raise Unavailable("This page cannot be drawn. Read its text instead.", code=error.code) from error
    picture = Picture(
        drawn.png,
        drawn.width,
        drawn.height,
        tuple(tuple((box.x0, box.y0, box.x1, box.y1) for box in quote) for quote in drawn.boxes),
    )
    facts = {"width": picture.width, "height": picture.height, "boxes": picture.boxes}
    try:
        storage.keep(image, picture.png, row.pk)
        storage.keep(marks, json.dumps(facts).encode(), row.pk)
    except KeyDestroyed as error:
        raise NotFound from error
    if not Document.objects.filter(pk=row.pk).exists():  # deleted while it was drawn: its cache must not come back
        storage.erase_document(row.pk)
        raise NotFound
    return picture


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for a free place to draw in; a flood of requests must not become a flood of processes."""
    if not _DRAWING.acquire(timeout=30):
        raise Unavailable("Many pages are being drawn now. Try again in a moment.", code="busy", retry_after=5)
    try:
        yield
    finally:
        _DRAWING.release()


def _as_parsed(found: Page) -> ParsedPage:
    layout = tuple(TextBox(int(a), int(b), *map(float, rest)) for a, b, *rest in found.layout)
    return ParsedPage(found.number, found.text, label=found.label or None, ocr=found.ocr, layout=layout)
