"""Word 97 to 2003 documents (DOC): the text of the piece table, as paragraphs, list-like lines and table rows.

Follows [MS-DOC]: the FIB (2.5), the Clx in the table stream (2.8.35, 2.9.38), 8-bit pieces in code page 1252 and
16-bit ones in UTF-16. Of formatting only that is read which makes text unseen (`legacy_word_marks`): tracked deletions
and hidden text are reported, not indexed. Headings are told by their look alone; fields keep their result.
"""

from __future__ import annotations

import io
import re
import struct

import olefile

from retrieval.errors import CorruptDocument, EncryptedDocument, UnsupportedFormat
from retrieval.parsing.base import Context, Source
from retrieval.parsing.legacy_word_marks import Marks, piece_reason
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import row_lines
from retrieval.schema import ParsedDocument

_MAGIC = 0xA5EC
_ENCRYPTED, _WHICH_TABLE = 0x0100, 0x0200
_FIELD = re.compile("\x13[^\x13\x14\x15]*\x14([^\x13\x15]*)\x15|\x13[^\x13\x14\x15]*\x15")
_GONE = "\ufffe"  # in the place of a character that nobody sees, while positions still count
_STRUCTURE = re.compile("[^\x07\x13\x14\x15]")  # all but the marks that cells and fields hang on
_HINT = "Open the document in its own program, save it as DOCX and upload that copy."


def parse(source: Source, context: Context) -> ParsedDocument:
    """The main text, then notes and text boxes as Word stores them behind it."""
    try:
        ole = olefile.OleFileIO(io.BytesIO(source.data))
        with ole:
            text, unseen = _text(ole)
            title = _title(ole)
    except (OSError, ValueError, IndexError, KeyError, struct.error) as exc:
        raise CorruptDocument(f"not a readable Word document: {exc}"[:300]) from exc
    paged = "\x0c" in text.strip("\x0c\r ")
    writer = PageWriter(context.limits, flow=not paged)
    for words, reason in unseen:
        writer.hide(words, reason)
    _write(writer, text)
    return writer.document(source.media_type, title)


def _text(ole: olefile.OleFileIO) -> tuple[str, list[tuple[str, str]]]:
    """Characters in logical order, fields replaced by their results; and what nobody sees, with the reason."""
    main = ole.openstream("WordDocument").read()
    magic, version = struct.unpack_from("<HH", main, 0)
    if magic != _MAGIC or version < 0x00C1:
        raise UnsupportedFormat("the document is older than Word 97", hint=_HINT)
    flags = struct.unpack_from("<H", main, 10)[0]
    if flags & _ENCRYPTED:
        raise EncryptedDocument("the Word document is protected by a password")
    table = ole.openstream("1Table" if flags & _WHICH_TABLE else "0Table").read()
    words = struct.unpack_from("<H", main, 32)[0]
    longs_at = 34 + words * 2
    longs = struct.unpack_from("<H", main, longs_at)[0]
    counts = struct.unpack_from("<8i", main, longs_at + 2 + 3 * 4)
    pairs_at = longs_at + 2 + longs * 4 + 2
    start, size = struct.unpack_from("<II", main, pairs_at + 33 * 8)
    chpx_at, chpx_size = struct.unpack_from("<II", main, pairs_at + 12 * 8)
    marks = Marks.read(main, table[chpx_at : chpx_at + chpx_size])
    unseen: list[tuple[str, str]] = []
    pieces = _pieces(table[start : start + size], main, marks, unseen)
    # Main text, footnotes, then (headers and macros skipped) comments skipped, endnotes, text boxes.
    lengths = [max(0, count) for count in counts]
    parts: list[str] = []
    position = 0
    for index, length in enumerate(lengths):
        if index in (0, 1, 5, 6):
            parts.append(pieces[position : position + length])
        position += length
    text = "\r".join(part for part in parts if part).replace(_GONE, "")
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    for _ in range(20):
        text, replaced = _FIELD.subn(lambda match: match[1] or "", text)
        if not replaced:
            break
    return text, unseen


def _pieces(clx: bytes, main: bytes, marks: Marks, unseen: list[tuple[str, str]]) -> str:
    """The document's characters, UTF-16 units each, put together from the piece table; unseen ones as `_GONE`."""
    offset = 0
    changes: list[bytes] = []  # what a fast save says of whole pieces
    while offset < len(clx) and clx[offset] == 1:
        length = struct.unpack_from("<H", clx, offset + 1)[0]
        changes.append(clx[offset + 3 : offset + 3 + length])
        offset += 3 + length
    if offset >= len(clx) or clx[offset] != 2:
        raise CorruptDocument("the document has no piece table")
    size = struct.unpack_from("<I", clx, offset + 1)[0]
    plc = clx[offset + 5 : offset + 5 + size]
    count = (len(plc) - 4) // 12
    positions = struct.unpack_from(f"<{count + 1}I", plc, 0)
    out: list[str] = []
    for index in range(count):
        length = positions[index + 1] - positions[index]
        place, change = struct.unpack_from("<IH", plc, (count + 1) * 4 + index * 8 + 2)
        if not 0 <= length <= len(main):
            raise CorruptDocument("a piece is longer than the document")
        if place & 0x40000000:
            width, begin = 1, (place & 0x3FFFFFFF) // 2
            units = main[begin : begin + length].decode("cp1252", "replace")
        else:
            width, begin = 2, place
            raw = main[begin : begin + length * 2]
            units = "".join(map(chr, struct.unpack(f"<{len(raw) // 2}H", raw[: len(raw) // 2 * 2])))
        whole = piece_reason(change, changes)
        stretches = [(0, len(units), whole)] if whole else marks.within(begin, width, len(units))
        at = 0
        for low, high, reason in stretches:
            out += units[at:low], _STRUCTURE.sub(_GONE, units[low:high])
            words = units[low:high].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            unseen.append((words, reason))
            at = high
        out.append(units[at:])
    return "".join(out)


def _write(writer: PageWriter, text: str) -> None:
    cells: list[str] = []
    rows: list[list[str]] = []

    def finish_table() -> None:
        for line in row_lines(rows, header=None):
            writer.add("table_row", line)
        rows.clear()

    for mark in re.finditer("([^\r\x07\x0c]*)([\r\x07\x0c]|$)", text):
        content = mark[1].replace("\x0b", " ").replace("\x1e", "-").replace("\x1f", "").replace("\x01", "")
        if mark[2] == "\x07":
            if content or not cells:
                cells.append(content)
            else:
                # A cell mark directly behind a cell mark ends the row ([MS-DOC] 2.4.3).
                rows.append(cells)
                cells = []
            continue
        if cells:
            cells[-1:] = [cells[-1]]
            rows.append(cells)
            cells = []
        if content.strip() or mark[2] == "\x0c":
            finish_table()
        writer.add("paragraph", content)
        if mark[2] == "\x0c" and not writer.empty:
            writer.start()
    if cells:
        rows.append(cells)
    finish_table()


def _title(ole: olefile.OleFileIO) -> str | None:
    raw = ole.get_metadata().title if ole.exists("\x05SummaryInformation") else None
    if isinstance(raw, bytes):
        return raw.decode("cp1252", "replace").strip("\x00 ") or None
    return str(raw) if raw else None
