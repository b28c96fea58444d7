"""PowerPoint 97 to 2003 presentations (PPT): the text atoms of each slide, in the order of the file.

Follows [MS-PPT]: record headers (2.3.1), the document's slide list with its outline text (2.4.14.3), slide
containers, TextCharsAtom and TextBytesAtom (2.9.42 and 2.9.43), notes containers left for the end.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import olefile

from retrieval.errors import CorruptDocument, EncryptedDocument
from retrieval.parsing.base import Context, Source
from retrieval.parsing.pages import PageWriter
from retrieval.schema import ParsedDocument

_SLIDE, _NOTES, _MASTER = 1006, 1008, 1016
_SLIDE_LIST, _PERSIST, _HEADER = 4080, 1011, 3999
_CHARS, _BYTES = 4000, 4008
_TITLES = (0, 6)
_DEEPEST = 40


def parse(source: Source, context: Context) -> ParsedDocument:
    """One page per slide of the outline, with the text of its drawing behind; notes last."""
    try:
        with olefile.OleFileIO(io.BytesIO(source.data)) as ole:
            if ole.exists("EncryptedSummary"):
                raise EncryptedDocument("the presentation is protected by a password")
            stream = ole.openstream("PowerPoint Document").read()
    except (OSError, ValueError, IndexError, KeyError) as exc:
        raise CorruptDocument(f"not a readable presentation: {exc}"[:300]) from exc
    outline = _outline(stream)
    drawn = [_texts(body) for kind, body, _instance in _records(stream, 0) if kind == _SLIDE]
    notes = [text for kind, body, _i in _records(stream, 0) if kind == _NOTES for text in _texts(body)]
    writer = PageWriter(context.limits)
    first: str | None = None
    for index in range(max(len(outline), len(drawn))):
        listed = outline[index] if index < len(outline) else []
        title = next((text for kind, text in listed if kind in _TITLES), None)
        first = first or title
        writer.start(title)
        seen = set()
        for kind, text in listed:
            for line in text.replace("\x0b", " ").split("\r"):
                writer.add("heading" if kind in _TITLES else "list_item", line, 1 if kind in _TITLES else 0)
                seen.add(line.strip())
        for text in drawn[index] if index < len(drawn) else ():
            for line in text.replace("\x0b", " ").split("\r"):
                if line.strip() not in seen and line.strip() != "*":
                    writer.add("paragraph", line)
        context.progress(index + 1, None)
    if notes:
        writer.start("Notes")
        for text in notes:
            for line in text.split("\r"):
                if line.strip() != "*":
                    writer.add("paragraph", line)
    return writer.document(source.media_type, first)


def _records(data: bytes, depth: int) -> Iterator[tuple[int, bytes, int]]:
    """The records of a container: type, body, instance."""
    offset = 0
    while offset + 8 <= len(data):
        head, kind, length = struct.unpack_from("<HHI", data, offset)
        body = data[offset + 8 : offset + 8 + length]
        if length > len(data):
            raise CorruptDocument("a record is longer than its container")
        yield kind, body, head >> 4
        if kind == 1000 and depth == 0:
            yield from _records(body, 1)
        offset += 8 + length


def _outline(stream: bytes) -> list[list[tuple[int, str]]]:
    """For each slide its outline texts with their kind (0 and 6 are titles)."""
    slides: list[list[tuple[int, str]]] = []
    for kind, body, instance in _records(stream, 0):
        if kind != _SLIDE_LIST or instance != 0:
            continue
        current = 0
        for inner, content, _i in _records(body, 1):
            if inner == _PERSIST:
                slides.append([])
            elif inner == _HEADER and len(content) >= 4:
                current = struct.unpack_from("<I", content, 0)[0]
            elif inner in (_CHARS, _BYTES) and slides:
                slides[-1].append((current, _decode(inner, content)))
    return slides


def _texts(body: bytes, depth: int = 0) -> list[str]:
    """All text atoms inside a container, depth first."""
    found: list[str] = []
    offset = 0
    while offset + 8 <= len(body):
        head, kind, length = struct.unpack_from("<HHI", body, offset)
        content = body[offset + 8 : offset + 8 + length]
        if kind in (_CHARS, _BYTES):
            found.append(_decode(kind, content))
        elif head & 0x0F == 0x0F and depth < _DEEPEST:
            found.extend(_texts(content, depth + 1))
        offset += 8 + length
    return found


def _decode(kind: int, content: bytes) -> str:
    return content.decode("utf-16-le", "replace") if kind == _CHARS else content.decode("latin-1")
