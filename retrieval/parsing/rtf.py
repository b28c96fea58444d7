"""RTF to blocks: paragraphs, table rows and headings by outline level; hidden and deleted text reported or left out.

A small reader of its own: the control words that carry text (Rich Text Format Specification 1.9.1), code pages,
Unicode escapes, ignorable destinations. Embedded objects and pictures are skipped.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from retrieval.errors import CorruptDocument, LimitExceeded
from retrieval.parsing.base import Context, Source
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import row_lines
from retrieval.schema import ParsedDocument

_TOKEN = re.compile(
    rb"\\'([0-9a-fA-F]{2})|\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)", re.DOTALL
)
_SKIPPED = frozenset(
    [
        "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "objdata", "themedata", "colorschememapping",
        "datastore", "latentstyles", "listtable", "listoverridetable", "rsidtbl", "generator", "xmlnstbl", "fldinst",
        "header", "footer", "headerl", "headerr", "headerf", "footerl", "footerr", "footerf", "annotation", "revtbl",
        "bkmkstart", "bkmkend", "pgdsctbl", "mmathPr", "wgrffmtfilter", "listpicture", "shpinst", "nonshppict",
        "filetbl", "docvar", "xe", "tc", "private", "ftnsep", "ftnsepc", "aftnsep", "sp", "panose", "falt",
    ]
)  # fmt: skip
_KEPT = frozenset(["shptxt", "footnote", "upr", "ud", "rtf", "fldrslt", "shppict", "listtext", "pntext"])
_SIGNS = {
    "tab": "\t", "line": " ", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "~": "\u00a0", "_": "-", "softline": " ",
}  # fmt: skip
_CHARSETS = {
    0: "cp1252", 2: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5hkscs",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250",
}  # fmt: skip
_DEEPEST = 2_000


@dataclass(frozen=True, slots=True)
class _State:
    skip: bool = False
    hidden: bool = False
    deleted: bool = False
    unicode_skip: int = 1
    font: int = 0
    fonts: bool = False
    fresh: bool = True


def parse(source: Source, context: Context) -> ParsedDocument:
    """The document's paragraphs and table rows, divided at page breaks when there are some."""
    data = source.data
    paged = b"\\page" in data.replace(b"\\pagebb", b"").replace(b"\\paperw", b"")
    paged = paged and re.search(rb"\\page(?![a-z])", data) is not None
    reader = _Reader(PageWriter(context.limits, flow=not paged), data)
    reader.read()
    title = re.search(rb"{\\title ([^{}\\]{1,300})}", data)
    return reader.writer.document(source.media_type, title[1].decode("cp1252", "replace") if title else None)


def write_rtf(writer: PageWriter, data: bytes) -> None:
    """The paragraphs and table rows of a text that is part of another document."""
    _Reader(writer, data).read()


class _Reader:
    """Carries the group stack through the token stream."""

    def __init__(self, writer: PageWriter, data: bytes) -> None:
        self.writer = writer
        self._data = data
        self._state = _State()
        self._stack: list[_State] = []
        self._bytes = bytearray()
        self._text: list[str] = []
        self._secret: list[str] = []
        self._row: list[str] = []
        self._rows: list[list[str]] = []
        self._in_table = False
        self._outline = 0
        self._listed = False
        self._codepage = "cp1252"
        self._charsets: dict[int, str] = {}
        self._ignore_next = 0
        self._surrogate = 0

    def read(self) -> None:
        """Walk over the whole file."""
        star = False
        for match in _TOKEN.finditer(self._data):
            raw, word, number, symbol, brace, text = match.groups()
            if brace:
                self._brace(brace)
                star = False
            elif symbol == b"*":
                star = True
            elif word:
                name = word.decode("ascii")
                if star or self._state.fresh:
                    self._destination(name, star)
                    star = False
                if name == "bin" and number:
                    raise CorruptDocument("the file embeds binary data")
                self._word(name, int(number) if number else None)
                self._state = replace(self._state, fresh=False)
            elif raw:
                self._byte(bytes([int(raw, 16)]))
            elif symbol:
                self._symbol(symbol.decode("latin-1"))
            elif text:
                self._byte(text)
        self._flush_bytes()
        self._paragraph()
        self._table()

    def _brace(self, brace: bytes) -> None:
        self._flush_bytes()
        if brace == b"{":
            if len(self._stack) > _DEEPEST:
                raise LimitExceeded("groups nested too deep", what="depth")
            self._stack.append(self._state)
            self._state = replace(self._state, fresh=True)
        elif self._stack:
            self._state = replace(self._stack.pop(), fresh=False)

    def _destination(self, name: str, star: bool) -> None:
        if name == "fonttbl":
            self._state = replace(self._state, fonts=True)
        if name in _SKIPPED or (star and name not in _KEPT):
            self._flush_bytes()
            self._state = replace(self._state, skip=True)
        elif name == "shptxt":
            self._state = replace(self._state, skip=False)

    def _word(self, name: str, number: int | None) -> None:
        state = self._state
        if name == "ansicpg" and number:
            self._codepage = _known(f"cp{number}") or {936: "gb18030", 950: "big5hkscs"}.get(number, self._codepage)
        elif name == "f" and number is not None:
            self._flush_bytes()
            self._state = replace(state, font=number)
        elif name == "fcharset" and state.fonts and number in _CHARSETS:
            self._charsets[state.font] = _CHARSETS[number]
        elif name == "uc":
            self._state = replace(state, unicode_skip=number if number is not None else 1)
        elif name == "u" and number is not None:
            self._unicode(number % 65536)
        elif name == "v":
            self._flush_bytes()
            self._state = replace(state, hidden=number != 0)
        elif name == "deleted":
            self._flush_bytes()
            self._state = replace(state, deleted=number != 0)
        elif name == "plain":
            self._flush_bytes()
            self._state = replace(state, hidden=False, deleted=False)
        elif not state.skip:
            self._layout(name, number)

    def _layout(self, name: str, number: int | None) -> None:
        if name in ("par", "sect"):
            self._flush_bytes()
            if self._in_table:
                self._text.append(" ")
            else:
                self._paragraph()
        elif name == "pard":
            self._flush_bytes()
            self._in_table, self._outline, self._listed = False, 0, False
        elif name == "intbl":
            self._in_table = True
        elif name == "cell":
            self._flush_bytes()
            self._row.append("".join(self._text))
            self._text.clear()
        elif name == "row":
            self._rows.append(self._row)
            self._row = []
        elif name == "outlinelevel" and number is not None:
            self._outline = number + 1
        elif name in ("ls", "pnlvlblt", "pnlvlbody"):
            self._listed = True
        elif name == "page":
            self._flush_bytes()
            self._paragraph()
            self._table()
            if not self.writer.empty:
                self.writer.start()
        elif name in _SIGNS:
            self._flush_bytes()
            self._put(_SIGNS[name])

    def _symbol(self, symbol: str) -> None:
        if symbol in "\\{}":
            self._byte(symbol.encode())
        elif symbol in _SIGNS:
            self._flush_bytes()
            self._put(_SIGNS[symbol])
        elif symbol in "\r\n":
            self._word("par", None)

    def _unicode(self, code: int) -> None:
        self._flush_bytes()
        if 0xD800 <= code < 0xDC00:
            self._surrogate = code
        elif 0xDC00 <= code < 0xE000:
            if self._surrogate:
                self._put(chr(0x10000 + ((self._surrogate - 0xD800) << 10) + code - 0xDC00))
            self._surrogate = 0
        else:
            self._put(chr(code))
        self._ignore_next = self._state.unicode_skip

    def _byte(self, data: bytes) -> None:
        if self._ignore_next:
            skipped = min(self._ignore_next, len(data))
            self._ignore_next -= skipped
            data = data[skipped:]
        self._bytes += data

    def _flush_bytes(self) -> None:
        self._ignore_next = 0
        if self._bytes:
            encoding = self._charsets.get(self._state.font, self._codepage)
            text = bytes(self._bytes).decode(encoding, "replace")
            self._bytes.clear()
            self._put(text)

    def _put(self, text: str) -> None:
        if self._state.skip or self._state.deleted:
            return
        (self._secret if self._state.hidden else self._text).append(text)

    def _paragraph(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        if self._secret:
            self.writer.hide("".join(self._secret), "hidden text")
            self._secret.clear()
        if text.strip():
            self._table()
            if 1 <= self._outline <= 9:
                self.writer.add("heading", text, min(6, self._outline))
            else:
                self.writer.add("list_item" if self._listed else "paragraph", text)

    def _table(self) -> None:
        rows, self._rows = self._rows, []
        for line in row_lines(rows, header=None):
            self.writer.add("table_row", line)


def _known(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None
