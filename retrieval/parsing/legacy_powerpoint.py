"""PowerPoint 97 to 2003 presentations (PPT): a page for each live slide, with its notes.

Follows [MS-PPT]. A fast save appends what was changed and leaves the old slides in the stream, so nothing is read by
scanning it: the Current User stream (2.3.2) names the latest edit, the chain of edits (2.3.3) and their persist
directories (2.3.4) name the place of each live object, and the document's lists (2.4.14) name slides and notes. Text
is in atoms (2.9.42 and 2.9.43) of the list or of a shape's text box. Hidden slides and shapes and comments are
reported, not indexed, as in PPTX.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import olefile

from retrieval.errors import CorruptDocument, EncryptedDocument, LimitExceeded
from retrieval.parsing.base import Context, Source
from retrieval.parsing.pages import PageWriter
from retrieval.schema import ParsedDocument

_DOCUMENT, _SLIDE, _NOTES = 1000, 1006, 1008
_SLIDE_INFO, _NOTES_ATOM, _LIST, _PERSIST = 1017, 1009, 4080, 1011
_EDIT, _DIRECTORY = 4085, 6002
_HEADER, _CHARS, _BYTES, _OUTLINE_REFERENCE, _STRING, _COMMENT = 3999, 4000, 4008, 3998, 4026, 12000
_SHAPE, _SHAPE_FLAGS, _SHAPE_OPTIONS = 0xF004, 0xF00A, 0xF00B
_TITLES = (0, 6)
_ENCRYPTED = 0xF3D1C4DF
_DEEPEST, _MOST_EDITS = 40, 10_000

Text = tuple[int, str]  # the kind of text (0 and 6 are titles) and its characters


@dataclass(slots=True)
class _Listed:
    """A slide in the document's list: the identifiers of its object and of itself, and its outline."""

    persist: int
    identifier: int
    outline: list[Text] = field(default_factory=list)


@dataclass(slots=True)
class _Drawn:
    """What the shapes of a slide or of its notes say, and what of the outline stands in shapes nobody sees."""

    shown: list[Text] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    concealed: set[int] = field(default_factory=set)


def parse(source: Source, context: Context) -> ParsedDocument:
    """One page per slide in the order of the presentation, with its outline, its other text and its notes."""
    try:
        with olefile.OleFileIO(io.BytesIO(source.data)) as ole:
            if ole.exists("EncryptedSummary"):
                raise EncryptedDocument("the presentation is protected by a password")
            stream = ole.openstream("PowerPoint Document").read()
            user = ole.openstream("Current User").read() if ole.exists("Current User") else b""
        return _write(_Presentation(stream, user), source, context)
    except (OSError, ValueError, IndexError, KeyError, struct.error) as exc:
        raise CorruptDocument(f"not a readable presentation: {exc}"[:300]) from exc


def _write(presentation: _Presentation, source: Source, context: Context) -> ParsedDocument:
    slides = presentation.listed(0)
    if len(slides) > context.limits.pages:
        raise LimitExceeded(f"{len(slides)} slides", what="pages")
    notes = presentation.notes()
    writer = PageWriter(context.limits)
    first: str | None = None
    for number, slide in enumerate(slides, 1):
        body = presentation.live(slide.persist, _SLIDE)
        drawn = _drawn(body)
        outline = [text for at, text in enumerate(slide.outline) if at not in drawn.concealed]
        drawn.hidden += [text for at, (_kind, text) in enumerate(slide.outline) if at in drawn.concealed]
        title = next((text.strip() for kind, text in [*outline, *drawn.shown] if kind in _TITLES), None)
        hidden = _is_hidden(body)
        writer.start(None if hidden else title)
        for text in drawn.comments:
            writer.hide(text, "comment")
        if hidden:
            writer.hide(" ".join(_lines(text for _kind, text in [*outline, *drawn.shown])), "hidden slide")
        else:
            first = first or title
            _write_slide(writer, outline, drawn, notes.get(slide.identifier))
        context.progress(number, len(slides))
    return writer.document(source.media_type, first)


def _write_slide(writer: PageWriter, outline: list[Text], drawn: _Drawn, notes: _Drawn | None) -> None:
    seen = set()
    for kind, text in outline:
        for line in _lines([text]):
            writer.add("heading" if kind in _TITLES else "list_item", line, 1 if kind in _TITLES else 0)
            seen.add(line.strip())
    for kind, text in drawn.shown:
        for line in _lines([text]):
            if line.strip() not in seen:
                writer.add("heading" if kind in _TITLES else "paragraph", line, 1 if kind in _TITLES else 0)
    for line in _lines(text for _kind, text in notes.shown) if notes else ():
        writer.add("paragraph", line)
    for text in [*drawn.hidden, *(notes.hidden if notes else ())]:
        writer.hide(text, "hidden shape")


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """The paragraphs of texts; "*" stands where the number of a page or a date is put in."""
    for text in texts:
        yield from (line for line in text.replace("\x0b", " ").split("\r") if line.strip() not in ("", "*"))


class _Presentation:
    """The live objects of the stream: those that the latest edit knows."""

    def __init__(self, stream: bytes, user: bytes) -> None:
        self._stream = stream
        self._places: dict[int, int] = {}
        latest = self._latest(user)
        document: int | None = None
        at, steps = latest, 0
        while at and steps < _MOST_EDITS:
            body = _record_at(stream, at, _EDIT)
            if len(body) >= 32 and struct.unpack_from("<I", body, 28)[0]:
                raise EncryptedDocument("the presentation is protected by a password")
            earlier, directory, reference = struct.unpack_from("<III", body, 8)
            document = reference if document is None else document
            self._enter(_record_at(stream, directory, _DIRECTORY))
            # Each edit lies behind the one before: whatever points forward would lead in a circle.
            at, steps = (earlier if earlier < at else 0), steps + 1
        self._document = self.live(document or 0, _DOCUMENT)

    def _latest(self, user: bytes) -> int:
        """Where the latest edit begins: as the Current User stream says, else the last edit in the stream."""
        if len(user) >= 20:
            token, at = struct.unpack_from("<II", user, 12)
            if token == _ENCRYPTED:
                raise EncryptedDocument("the presentation is protected by a password")
            if self._stream[at + 2 : at + 4] == _EDIT.to_bytes(2, "little"):
                return int(at)
        places = [at for at, kind, _body, _instance in _records(self._stream) if kind == _EDIT]
        if not places:
            raise CorruptDocument("the presentation does not say which of its slides are live")
        return places[-1]

    def _enter(self, directory: bytes) -> None:
        """Note the places of objects, unless a later edit has placed them already."""
        offset = 0
        while offset + 4 <= len(directory):
            head = struct.unpack_from("<I", directory, offset)[0]
            first, count = head & 0xFFFFF, head >> 20
            offset += 4
            for index, place in enumerate(struct.unpack_from(f"<{count}I", directory, offset)):
                self._places.setdefault(first + index, place)
            offset += 4 * count

    def live(self, reference: int, kind: int) -> bytes:
        """The content of a live object."""
        if reference not in self._places:
            raise CorruptDocument("the presentation names an object that it does not hold")
        return _record_at(self._stream, self._places[reference], kind)

    def listed(self, instance: int) -> list[_Listed]:
        """The document's list of slides (instance 0) or notes (2)."""
        found: list[_Listed] = []
        kind = 4
        for _at, outer, body, of in _records(self._document):
            if outer != _LIST or of != instance:
                continue
            for _at2, inner, content, _instance in _records(body):
                if inner == _PERSIST:
                    reference, _flags, _count, identifier = struct.unpack_from("<IIiI", content, 0)
                    found.append(_Listed(reference, identifier))
                elif inner == _HEADER:
                    kind = struct.unpack_from("<I", content, 0)[0]
                    if found:
                        found[-1].outline.append((kind, ""))
                elif inner in (_CHARS, _BYTES) and found and found[-1].outline:
                    found[-1].outline[-1] = (kind, _decode(inner, content))
        return found

    def notes(self) -> dict[int, _Drawn]:
        """What the notes pages say, by the identifier of their slide."""
        found: dict[int, _Drawn] = {}
        for item in self.listed(2):
            body = self.live(item.persist, _NOTES)
            atom = next((content for _at, kind, content, _i in _records(body) if kind == _NOTES_ATOM), b"")
            if len(atom) >= 4:
                found[struct.unpack_from("<I", atom, 0)[0]] = _drawn(body)
        return found


def _record_at(data: bytes, at: int, kind: int) -> bytes:
    """The content of the record at a place; raises `CorruptDocument` when it is none of that kind."""
    _head, found, length = struct.unpack_from("<HHI", data, at)
    if found != kind or at + 8 + length > len(data):
        raise CorruptDocument("the presentation names a place where there is no such object")
    return data[at + 8 : at + 8 + length]


def _records(data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """The records of a container: place, kind, content, instance."""
    offset = 0
    while offset + 8 <= len(data):
        head, kind, length = struct.unpack_from("<HHI", data, offset)
        if length > len(data):
            raise CorruptDocument("a record is longer than its container")
        yield offset, kind, data[offset + 8 : offset + 8 + length], head >> 4
        offset += 8 + length


def _is_hidden(slide: bytes) -> bool:
    """Whether the slide is left out of the show (SlideShowSlideInfoAtom, 2.6.6)."""
    atom = next((content for _at, kind, content, _i in _records(slide) if kind == _SLIDE_INFO), b"")
    return len(atom) >= 12 and bool(atom[10] & 0x04)


def _drawn(body: bytes) -> _Drawn:
    drawn = _Drawn()
    _gather(body, drawn, 0, hidden=False)
    return drawn


def _gather(body: bytes, drawn: _Drawn, depth: int, *, hidden: bool) -> None:
    """The texts of a container, depth first. Deleted shapes ([MS-ODRAW] 2.2.40) say nothing."""
    kind_of_text = 4
    for _at, kind, content, _instance in _records(body):
        if kind == _HEADER and len(content) >= 4:
            kind_of_text = struct.unpack_from("<I", content, 0)[0]
        elif kind in (_CHARS, _BYTES):
            text = _decode(kind, content)
            drawn.hidden.append(text) if hidden else drawn.shown.append((kind_of_text, text))
        elif kind == _OUTLINE_REFERENCE and hidden and len(content) >= 4:
            drawn.concealed.add(struct.unpack_from("<I", content, 0)[0])
        elif kind == _COMMENT:
            said = (text for _a, k, text, instance in _records(content) if k == _STRING and instance == 1)
            drawn.comments.extend(text.decode("utf-16-le", "replace") for text in said)
        elif kind == _SHAPE and depth < _DEEPEST:
            deleted, concealed = _state(content)
            if not deleted:
                _gather(content, drawn, depth + 1, hidden=hidden or concealed)
        elif struct.unpack_from("<H", body, _at)[0] & 0x0F == 0x0F and depth < _DEEPEST:
            _gather(content, drawn, depth + 1, hidden=hidden)


def _state(shape: bytes) -> tuple[bool, bool]:
    """Whether a shape is deleted, and whether it is hidden (the group shape properties, [MS-ODRAW] 2.3.4.44)."""
    deleted = concealed = False
    for _at, kind, content, count in _records(shape):
        if kind == _SHAPE_FLAGS and len(content) >= 8:
            deleted = bool(content[4] & 0x08)
        elif kind == _SHAPE_OPTIONS:
            for index in range(min(count, len(content) // 6)):
                number, setting = struct.unpack_from("<HI", content, index * 6)
                if number & 0x3FFF == 0x03BF:
                    concealed = setting & 0x20002 == 0x20002
    return deleted, concealed


def _decode(kind: int, content: bytes) -> str:
    return content.decode("utf-16-le", "replace") if kind == _CHARS else content.decode("latin-1")
