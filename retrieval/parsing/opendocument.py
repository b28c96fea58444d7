"""OpenDocument (ODT, ODS, ODP) to pages: text divided at page breaks or headings, sheets, slides.

Reads content.xml directly (OASIS OpenDocument 1.3 part 3). Hidden sheets, rows, columns, slides, sections
and words, tracked deletions and comments are reported, not indexed.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from retrieval.errors import EncryptedDocument
from retrieval.parsing import registry
from retrieval.parsing.archives import Archive, attribute, local
from retrieval.parsing.base import Context, Source
from retrieval.parsing.docx_styles import child
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.sheets import write_sheet
from retrieval.parsing.tables import row_lines
from retrieval.schema import ParsedDocument

_SILENT = frozenset(
    ["annotation", "annotation-end", "tracked-changes", "note-citation", "sequence-decls", "forms", "bookmark-ref"]
)
_LEFT_OUT = {"annotation": "comment", "deletion": "deleted text"}
_MOST_REPEATS = 1_000


def parse(source: Source, context: Context) -> ParsedDocument:
    """The document's body, by the kind that its media type names."""
    archive = Archive(source.data, context.limits)
    if "META-INF/manifest.xml" in archive and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise EncryptedDocument("the OpenDocument file is protected by a password")
    root = archive.xml("content.xml")
    styles = _Styles(root, archive.optional_xml("styles.xml"))
    body = child(root, "body")
    content = next(iter(body), None) if body is not None else None
    title = _title(archive)
    if any(name.startswith(("Basic/", "Scripts/")) for name in archive.names()):
        macro_warning = "The file contains macros; they were not run and not read."
    else:
        macro_warning = ""
    flow = source.media_type != registry.ODP
    writer = PageWriter(context.limits, flow=flow and not (source.media_type == registry.ODT and styles.breaks(root)))
    if macro_warning:
        writer.warn(macro_warning)
    if content is not None:
        if source.media_type == registry.ODS:
            _sheets(content, writer, styles)
        elif source.media_type == registry.ODP:
            first = _slides(content, writer, styles)
            title = title or first
        else:
            walker = _Text(writer, styles)
            walker.blocks(content, 0)
            title = title or walker.first_heading
        for element in content.iter():
            if reason := _LEFT_OUT.get(local(element)):
                paragraphs = (part for part in element.iter() if local(part) in ("p", "h"))
                writer.hide(" ".join("".join(part.itertext()) for part in paragraphs), reason)
    return writer.document(source.media_type, title)


class _Styles:
    """What automatic and common styles say that matters here: page breaks, hidden text, hidden rows."""

    def __init__(self, *roots: Element | None) -> None:
        self._break: set[str] = set()
        self._hidden: set[str] = set()
        self._parent: dict[str, str] = {}
        self._outline: dict[str, int] = {}
        for root in roots:
            for style in root.iter() if root is not None else ():
                if local(style) == "style":
                    self._read(style, attribute(style, "name") or "")

    def _read(self, style: Element, name: str) -> None:
        if parent := attribute(style, "parent-style-name"):
            self._parent[name] = parent
        level = attribute(style, "default-outline-level") or ""
        if level.isdigit() and int(level):
            self._outline[name] = min(6, int(level))
        for properties in style:
            if attribute(properties, "break-before") == "page" or attribute(style, "master-page-name"):
                self._break.add(name)
            if attribute(properties, "display") in ("none", "false") and local(properties) in (
                "text-properties",
                "table-properties",
            ):
                self._hidden.add(name)
            if local(properties) == "drawing-page-properties" and attribute(properties, "visibility") == "hidden":
                self._hidden.add(name)

    def hides(self, element: Element) -> bool:
        """Whether the element's style makes it invisible."""
        return any(name in self._hidden for name in self._chain(attribute(element, "style-name")))

    def starts_page(self, element: Element) -> bool:
        """Whether the element's own style asks for a page break before it."""
        return (attribute(element, "style-name") or "") in self._break

    def outline(self, element: Element) -> int:
        """The heading level that a paragraph's style carries, 0 for none."""
        return next((self._outline[n] for n in self._chain(attribute(element, "style-name")) if n in self._outline), 0)

    def breaks(self, root: Element) -> bool:
        """Whether the text says anything about pages, as laid out or by style."""
        seen = 0
        for element in root.iter():
            if local(element) == "soft-page-break":
                return True
            seen += local(element) in ("p", "h") and (attribute(element, "style-name") or "") in self._break
        return seen > 1

    def _chain(self, name: str | None) -> Iterator[str]:
        for _ in range(20):
            if not name:
                return
            yield name
            name = self._parent.get(name)


class _Text:
    """Writes the blocks of a text document or of a text box."""

    def __init__(self, writer: PageWriter, styles: _Styles) -> None:
        self._writer = writer
        self._styles = styles
        self.first_heading: str | None = None
        self._paged = False

    def blocks(self, parent: Element, depth: int) -> None:
        for element in parent:
            name = local(element)
            if name in ("p", "h"):
                self._paragraph(element, depth)
            elif name == "list":
                self._list(element, depth)
            elif name == "section" and attribute(element, "display") == "none":
                self._writer.hide(_everything(element), "hidden section")
            elif name == "table":
                rows = [_row(row, self._styles, self._writer) for row in _table_rows(element)]
                header = True if child(element, "table-header-rows") is not None else None
                for line in row_lines(rows, header=header):
                    self._writer.add("table_row", line)
            elif name == "soft-page-break":
                self._turn()
            elif name not in _SILENT and name != "table-of-content":
                self.blocks(element, depth)

    def _turn(self) -> None:
        if not self._writer.empty:
            self._writer.start()

    def _paragraph(self, element: Element, depth: int) -> None:
        if self._styles.starts_page(element):
            self._turn()
        if _is_hidden(element, self._styles):
            self._writer.hide(_everything(element), "hidden paragraph")
            return
        text, notes, breaks = _inline(element, self._styles, self._writer)
        level = attribute(element, "outline-level") or ""
        rank = int(level) if local(element) == "h" and level.isdigit() else self._styles.outline(element)
        if local(element) == "h" or rank:
            self._writer.add("heading", text, min(6, rank or 1))
            self.first_heading = self.first_heading or (text.strip() or None)
        else:
            self._writer.add("list_item" if depth else "paragraph", text, max(0, depth - 1))
        for note in notes:
            self._writer.add("paragraph", note)
        for box in (e for e in element.iter() if local(e) == "text-box"):
            self.blocks(box, 0)
        if breaks:
            self._turn()

    def _list(self, element: Element, depth: int) -> None:
        for item in element:
            if local(item) in ("list-item", "list-header"):
                self.blocks(item, min(6, depth + 1))


def _is_hidden(paragraph: Element, styles: _Styles) -> bool:
    """Whether a paragraph is hidden by its style or by a field in it whose condition holds."""
    fields = (e for e in paragraph.iter() if local(e) == "hidden-paragraph")
    return styles.hides(paragraph) or any(attribute(e, "is-hidden") == "true" for e in fields)


def _everything(element: Element) -> str:
    return " ".join("".join(part.itertext()) for part in element.iter() if local(part) in ("p", "h"))


def _inline(element: Element, styles: _Styles, writer: PageWriter) -> tuple[str, list[str], bool]:
    """A paragraph's visible text, its footnotes, and whether a page ends inside it; what is hidden goes to `writer`."""
    parts: list[str] = []
    notes: list[str] = []
    broken = False

    def walk(node: Element) -> None:
        nonlocal broken
        name = local(node)
        if name in _SILENT or name in ("text-box", "object"):
            return
        if name == "note":
            body = child(node, "note-body")
            notes.append(" ".join(_inline(p, styles, writer)[0] for p in body) if body is not None else "")
            return
        if name == "s":
            count = attribute(node, "c") or "1"
            parts.append(" " * (min(int(count), 100) if count.isdigit() else 1))
        elif name in ("tab", "line-break"):
            parts.append(" ")
        elif name == "soft-page-break":
            broken = True
        elif (name == "span" and styles.hides(node)) or attribute(node, "is-hidden") == "true":
            writer.hide("".join(node.itertext()), "hidden text")
        else:
            parts.append(node.text or "")
            for inner in node:
                walk(inner)
                parts.append(inner.tail or "")

    walk(element)
    return "".join(parts), [note for note in notes if note], broken


def _table_rows(table: Element) -> Iterator[Element]:
    for element in table:
        if local(element) == "table-row":
            yield element
        elif local(element) in ("table-rows", "table-header-rows", "table-row-group"):
            yield from _table_rows(element)


def _paragraphs(cell: Element) -> Iterator[Element]:
    """The paragraphs of a cell, also in lists and tables in it; not those of comments."""
    for element in cell:
        if local(element) in ("p", "h"):
            yield element
        elif local(element) not in _SILENT:
            yield from _paragraphs(element)


def _hidden_columns(table: Element) -> set[int]:
    """Which columns of a table are not shown."""
    found: set[int] = set()
    at = 0
    for column in (e for e in table.iter() if local(e) == "table-column"):
        repeated = attribute(column, "number-columns-repeated") or "1"
        times = int(repeated) if repeated.isdigit() else 1
        if attribute(column, "visibility") in ("collapse", "filter"):
            found.update(range(at, at + min(times, _MOST_REPEATS)))
        at += times
    return found


def _row(row: Element, styles: _Styles, writer: PageWriter) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if local(cell) not in ("table-cell", "covered-table-cell"):
            continue
        texts: list[str] = []
        for paragraph in _paragraphs(cell):
            if _is_hidden(paragraph, styles):
                writer.hide(_everything(paragraph), "hidden paragraph")
            elif (text := _inline(paragraph, styles, writer)[0]).strip():
                texts.append(text)
        text = " ".join(texts)
        repeated = attribute(cell, "number-columns-repeated") or "1"
        times = min(int(repeated), _MOST_REPEATS) if repeated.isdigit() else 1
        cells.extend([text] * (times if text or times < 100 else 0))
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _sheets(content: Element, writer: PageWriter, styles: _Styles) -> None:
    for table in (e for e in content if local(e) == "table"):
        name = attribute(table, "name")
        rows: list[list[str]] = []
        hidden: list[str] = []
        concealed = _hidden_columns(table)
        for row in _table_rows(table):
            cells = _row(row, styles, writer)
            repeated = attribute(row, "number-rows-repeated") or "1"
            times = min(int(repeated), _MOST_REPEATS) if repeated.isdigit() and cells else 1
            if attribute(row, "visibility") in ("collapse", "filter"):
                hidden.append(" | ".join(cell for cell in cells if cell))
            else:
                hidden.append(" | ".join(cell for at, cell in enumerate(cells) if cell and at in concealed))
                shown = ["" if at in concealed else cell for at, cell in enumerate(cells)]
                rows.extend([shown] * times)
        if styles.hides(table):
            writer.hide("; ".join(" | ".join(c for c in row if c) for row in rows), f"hidden sheet {name}")
            continue
        write_sheet(writer, name, rows)
        writer.hide("; ".join(text for text in hidden if text), f"hidden rows or columns of sheet {name}")


def _slides(content: Element, writer: PageWriter, styles: _Styles) -> str | None:
    first: str | None = None
    for page in (e for e in content if local(e) == "page"):
        frames = [e for e in page.iter() if local(e) == "frame" and attribute(e, "class") == "title"]
        if styles.hides(page):
            writer.start()
            writer.hide(_everything(page), "hidden slide")
            continue
        said = (_inline(p, styles, writer)[0] for f in frames for p in f.iter() if local(p) == "p")
        title = " ".join(said).strip() or None
        first = first or title
        writer.start(title or attribute(page, "name"))
        if title:
            writer.add("heading", title, 1)
        walker = _Text(writer, styles)
        for element in page:
            if element not in frames:
                walker.blocks(element, 0)
    return first


def _title(archive: Archive) -> str | None:
    root = archive.optional_xml("meta.xml")
    for element in root.iter() if root is not None else ():
        if local(element) == "title" and element.text and element.text.strip():
            return element.text
    return None
