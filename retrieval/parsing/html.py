"""HTML to blocks of visible text; scripts, styles and hidden elements are dropped, hidden text reported.

Knows HTML as lxml reads it, inline styles and the simplest rules of embedded style sheets (one class, id or tag
set to `display: none`, `visibility: hidden`, zero size). Runs nothing and loads nothing.
"""

from __future__ import annotations

import re
from typing import Any

import lxml.html
from lxml import etree

from retrieval.errors import CorruptDocument, EmptyDocument
from retrieval.parsing import clean
from retrieval.parsing.base import Context, Source
from retrieval.parsing.decoding import decode
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import row_lines
from retrieval.schema import BlockKind, ParsedDocument

_DROPPED = frozenset(
    [
        "script",
        "style",
        "template",
        "noscript",
        "object",
        "embed",
        "applet",
        "canvas",
        "audio",
        "video",
        "svg",
        "math",
        "iframe",
        "frame",
        "frameset",
        "head",
        "select",
        "datalist",
        "textarea",
        "input",
        "button",
        "map",
    ]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "search",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "caption",
        "section",
        "epub:switch",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?:\.0+)?(?:px|pt|em|rem|%)?\s*(?:;|$|!)"
    r"|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$|!)|text-indent\s*:\s*-\d{3,}|(?:left|top|right|bottom)\s*:\s*-\d{4,}px",
    re.IGNORECASE,
)
_WHITE = re.compile(
    r"(?<![-\w])color\s*:\s*(?:#fff(?:fff)?\b|white\b|rgba?\(\s*255\s*,\s*255\s*,\s*255)", re.IGNORECASE
)
_BACKGROUND = re.compile(r"background", re.IGNORECASE)
_RULE = re.compile(r"([^{}@]+)\{([^{}]*)\}")
_SIMPLE = re.compile(r"^(?:[a-z][a-z0-9]*)?[.#][\w-]+$|^[a-z][a-z0-9]*$", re.IGNORECASE)
_META_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w-]+)|<\?xml[^>]{0,100}encoding=[\"']([\w-]+)", re.I
)


def parse(source: Source, context: Context) -> ParsedDocument:
    """The page's visible text, divided at headings when it is long."""
    writer = PageWriter(context.limits, flow=True)
    title = write_html(writer, html_text(source.data))
    return writer.document(source.media_type, title)


def html_text(data: bytes) -> str:
    """Decoded HTML: a mark first, then what the page declares if that fits, then detection."""
    declared = _META_CHARSET.search(data[:4096])
    name = (declared[1] or declared[2]).decode("ascii") if declared else ""
    if name and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc-kr": "cp949",
                "iso-8859-1": "cp1252"}.get(name.lower(), name)  # fmt: skip
        try:
            return data.decode(name)
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data).text


def write_html(writer: PageWriter, text: str) -> str | None:
    """Add a page's blocks to `writer`; returns its title. Raises `CorruptDocument` when there is no markup."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text).replace("\x00", "")
    if not text.strip():
        raise EmptyDocument("the page is empty")
    try:
        root = lxml.html.document_fromstring(text, parser=lxml.html.HTMLParser(huge_tree=False, no_network=True))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as exc:
        raise CorruptDocument(f"not readable as HTML: {exc}") from exc
    walker = _Walker(writer, _hidden_selectors(root))
    walker.walk(root)
    walker.flush()
    for reason, found in walker.hidden.items():
        writer.hide(" ".join(found), reason)
    title = root.findtext(".//title")
    return clean.one_line(title or "") or walker.first_heading


def _hidden_selectors(root: Any) -> frozenset[str]:
    """Simple selectors that the page's own style sheets hide."""
    found: set[str] = set()
    for style in root.iter("style"):
        css = re.sub(r"/\*.*?\*/", "", style.text or "", flags=re.DOTALL)[:200_000]
        # Rules for print and other media hide nothing from a reader of the screen.
        css = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", css)
        for selectors, body in _RULE.findall(css):
            if _HIDING.search(body):
                found.update(s.strip().lower() for s in selectors.split(",") if _SIMPLE.match(s.strip()))
    return frozenset(found)


class _Walker:
    """Goes through the tree once, gathering inline text until a block begins or ends."""

    def __init__(self, writer: PageWriter, selectors: frozenset[str]) -> None:
        self._writer = writer
        self._selectors = selectors
        self._buffer: list[str] = []
        self._kind: BlockKind = "paragraph"
        self._level = 0
        self._lists = 0
        self.hidden: dict[str, list[str]] = {}
        self.first_heading: str | None = None

    def flush(self) -> None:
        """Write what was gathered as one block."""
        text = "".join(self._buffer)
        self._buffer.clear()
        if text.strip():
            if self._kind == "heading" and self.first_heading is None:
                self.first_heading = clean.one_line(text)
            self._writer.add(self._kind, text, self._level)
            if self._kind == "list_item":
                self._kind = "paragraph"

    def walk(self, element: Any) -> None:
        """One element with everything in it, then the text behind it."""
        tag = element.tag if isinstance(element.tag, str) else ""
        if not tag or tag in _DROPPED:
            return
        if reason := self._concealed(element, tag):
            text = clean.one_line(" ".join(element.itertext()))
            if text:
                self.hidden.setdefault(reason, []).append(text)
            return
        if tag == "br":
            self._buffer.append("\n" if self._kind == "code" else " ")
        elif tag == "img":
            self._buffer.append(f" {alt} " if (alt := (element.get("alt") or "").strip()) else "")
        elif tag == "table" and self._table(element):
            return
        elif tag in _BLOCKS:
            self._block(element, tag)
        else:
            self._inside(element)

    def _inside(self, element: Any) -> None:
        self._buffer.append(element.text or "")
        for child in element:
            self.walk(child)
            self._buffer.append(child.tail or "")

    def _block(self, element: Any, tag: str) -> None:
        self.flush()
        before = self._kind, self._level
        if tag in _HEADINGS:
            self._kind, self._level = "heading", _HEADINGS[tag]
        elif tag == "li":
            self._kind, self._level = "list_item", min(6, max(0, self._lists - 1))
        elif tag == "pre":
            self._kind, self._level = "code", 0
        elif tag in ("figcaption", "caption"):
            self._kind, self._level = "caption", 0
        elif before[0] not in ("list_item", "heading", "code"):
            self._kind, self._level = "paragraph", 0
        nested = tag in ("ul", "ol", "menu", "dir")
        self._lists += nested
        self._inside(element)
        self._lists -= nested
        self.flush()
        self._kind, self._level = before

    def _table(self, table: Any) -> bool:
        """Write a data table as rows; False for a table that only lays out a page."""
        if table.find(".//table") is not None or table.find(".//h1") is not None:
            return False
        groups = [group for group in table if group.tag in ("tbody", "thead", "tfoot")]
        all_rows = list(table.iter("tr"))
        all_cells = [cell for row in all_rows for cell in row if cell.tag in ("td", "th")]
        unseen = {e: reason for e in (*groups, *all_rows, *all_cells) if (reason := self._concealed(e, e.tag))}
        rows = [row for row in all_rows if row not in unseen and row.getparent() not in unseen]
        cells = [[cell for cell in row if cell.tag in ("td", "th") and cell not in unseen] for row in rows]
        if len(cells) < 2 or max(len(row) for row in cells) < 2:
            return False
        if any(sum(1 for _ in cell.iter("p", "div", "li")) > 6 for row in cells for cell in row):
            return False
        self.flush()
        for element, reason in unseen.items():
            self.hidden.setdefault(reason, []).append(clean.one_line(" ".join(element.itertext())))
        caption = table.find("caption")
        if caption is not None and not self._concealed(caption, "caption"):
            self._writer.add("caption", self._cell_text(caption))
        named = len(cells[0]) > 1 and all(cell.tag == "th" for cell in cells[0])
        for line in row_lines(self._grid(cells), header=True if named else None):
            self._writer.add("table_row", line)
        return True

    def _grid(self, rows: list[list[Any]]) -> list[list[str]]:
        """Cell texts with row and column spans filled in, so that every row is complete."""
        carried: dict[int, tuple[int, str]] = {}
        grid: list[list[str]] = []
        for row in rows:
            line: list[str] = []
            queue = list(row)
            while queue or len(line) in carried:
                if len(line) in carried:
                    left, text = carried.pop(len(line))
                    if left > 1:
                        carried[len(line)] = (left - 1, text)
                    line.append(text)
                    continue
                cell = queue.pop(0)
                text = self._cell_text(cell)
                down, across = _span(cell, "rowspan"), _span(cell, "colspan")
                for offset in range(across):
                    if down > 1:
                        carried[len(line)] = (down - 1, text)
                    line.append(text if offset == 0 or not grid else "")
            grid.append(line)
        return grid

    def _cell_text(self, element: Any) -> str:
        """Visible text of one cell on one line."""
        parts: list[str] = [element.text or ""]
        for child in element:
            tag = child.tag if isinstance(child.tag, str) else ""
            if tag and tag not in _DROPPED:
                if reason := self._concealed(child, tag):
                    self.hidden.setdefault(reason, []).append(clean.one_line(" ".join(child.itertext())))
                else:
                    apart = " " if tag in _BLOCKS or tag == "br" else ""
                    parts.append(apart + self._cell_text(child) + apart)
            parts.append(child.tail or "")
        return "".join(parts)

    def _concealed(self, element: Any, tag: str) -> str | None:
        if element.get("hidden") is not None:
            return "hidden element"
        if self._selectors and self._selected(element, tag):
            return "hidden by a style sheet"
        style = element.get("style")
        if not style:
            return None
        if _HIDING.search(style):
            return "hidden by its style"
        if _WHITE.search(style) and not _BACKGROUND.search(style) and not self._on_colour(element):
            return "white text"
        return None

    def _selected(self, element: Any, tag: str) -> bool:
        if tag in self._selectors:
            return tag not in ("html", "body")
        names = [f".{name.lower()}" for name in (element.get("class") or "").split()]
        if identifier := element.get("id"):
            names.append(f"#{identifier.lower()}")
        return any(name in self._selectors or tag + name in self._selectors for name in names)

    @staticmethod
    def _on_colour(element: Any) -> bool:
        """Whether something around the element sets a background, on which white is visible."""
        current = element.getparent()
        while current is not None:
            if current.get("bgcolor") or current.get("class") or _BACKGROUND.search(current.get("style") or ""):
                return True
            current = current.getparent()
        return bool(element.get("class"))


def _span(cell: Any, name: str) -> int:
    raw = cell.get(name) or "1"
    return max(1, min(100, int(raw))) if raw.isdigit() else 1
