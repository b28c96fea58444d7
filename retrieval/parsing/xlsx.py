"""XLSX to pages: each sheet's rows as lines, values as displayed; then what stands in its text boxes and shapes.

Reads the sheets as a stream of rows (a file that claims a million rows costs what it holds). Hidden sheets, rows,
columns and shapes, and comments, are reported, not indexed. Knows SpreadsheetML (ECMA-376 part 1, 18).

Not openpyxl: its streaming reader gives values without the displayed form, and neither merged cells nor hidden rows.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as safe_xml
from defusedxml.common import DefusedXmlException

from retrieval.errors import CorruptDocument, LimitExceeded
from retrieval.parsing import ooxml
from retrieval.parsing.archives import Archive, attribute, local
from retrieval.parsing.base import Context, Source
from retrieval.parsing.number_formats import BUILTIN, show
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.shapes import paragraphs_of, shapes_of
from retrieval.parsing.sheets import write_sheet
from retrieval.schema import ParsedDocument

_REFERENCE = re.compile(r"^([A-Z]{1,3})(\d{1,7})$")
_MOST_COLUMNS = 2_000
_MOST_ROWS = 500_000


@dataclass(frozen=True, slots=True)
class _Book:
    strings: list[str]
    formats: list[str]
    epoch_1904: bool


def parse(source: Source, context: Context) -> ParsedDocument:
    """The visible sheets in the workbook's order."""
    archive = Archive(source.data, context.limits)
    part = ooxml.main_part(archive, "xl/workbook.xml")
    root = archive.xml(part)
    relations = ooxml.relations(archive, part)
    parts = {relation.kind: relation.target for relation in relations.values()}
    properties = next((e for e in root.iter() if local(e) == "workbookPr"), None)
    epoch = properties is not None and (properties.get("date1904") or "0") in ("1", "true")
    book = _Book(
        _strings(archive, parts.get("sharedStrings", "xl/sharedStrings.xml")),
        _formats(archive, parts.get("styles", "xl/styles.xml")),
        epoch,
    )
    writer = PageWriter(context.limits, flow=True)
    ooxml.warn_of_macros(archive, writer)
    sheets = [e for e in root.iter() if local(e) == "sheet"]
    for number, sheet in enumerate(sheets, 1):
        identifier = next((v for k, v in sheet.attrib.items() if k.endswith("}id")), "")
        relation = relations.get(identifier)
        name = sheet.get("name")
        if relation is None or relation.kind != "worksheet" or relation.target not in archive:
            continue
        sheet_rows = _rows(archive.read(relation.target), book)
        rows, hidden = sheet_rows.rows, sheet_rows.hidden
        around = ooxml.relations(archive, relation.target)
        drawn, undrawn = _drawn(archive, around)
        if sheet_rows.uncounted:
            writer.warn(
                f"{name}: some formulas have no stored value; open the workbook in its program and save it again."
            )
        if sheet.get("state", "visible") != "visible":
            lines = [*(" | ".join(c for c in row if c) for row in rows), *drawn, *undrawn]
            writer.hide("; ".join(lines), f"hidden sheet {name}")
        else:
            write_sheet(writer, name, rows)
            for text in drawn:
                writer.add("paragraph", text)
            for text in undrawn:
                writer.hide(text, "hidden shape")
            if hidden:
                writer.hide("; ".join(hidden), f"hidden rows or columns of sheet {name}")
        ooxml.report_comments(archive, around, writer)
        context.progress(number, len(sheets))
    return writer.document(source.media_type, ooxml.title(archive))


def _drawn(archive: Archive, around: dict[str, ooxml.Relation]) -> tuple[list[str], list[str]]:
    """The texts of a sheet's text boxes and shapes in drawing order, a paragraph each; and those of hidden ones."""
    shown: list[str] = []
    hidden: list[str] = []
    for relation in around.values():
        root = archive.optional_xml(relation.target) if relation.kind == "drawing" and not relation.external else None
        for anchor in root if root is not None else ():
            for shape, unseen in shapes_of(anchor):
                (hidden if unseen else shown).extend(text for _level, text in paragraphs_of(shape))
    return shown, hidden


def _strings(archive: Archive, part: str) -> list[str]:
    root = archive.optional_xml(part)
    return [_rich(item) for item in root if local(item) == "si"] if root is not None else []


def _rich(item: Element) -> str:
    """The text of a shared or inline string; phonetic readings are left out."""
    parts: list[str] = []
    for element in item:
        if local(element) == "t":
            parts.append(element.text or "")
        elif local(element) == "r":
            parts.extend(e.text or "" for e in element if local(e) == "t")
    return "".join(parts)


def _formats(archive: Archive, part: str) -> list[str]:
    """The number format code of every cell style."""
    root = archive.optional_xml(part)
    if root is None:
        return []
    own = {e.get("numFmtId"): e.get("formatCode") or "General" for e in root.iter() if local(e) == "numFmt"}
    cells = next((e for e in root if local(e) == "cellXfs"), None)
    found = []
    for style in cells if cells is not None else ():
        identifier = style.get("numFmtId") or "0"
        builtin = BUILTIN.get(int(identifier), "General") if identifier.isdigit() else "General"
        found.append(own.get(identifier) or builtin)
    return found


@dataclass(slots=True)
class _Sheet:
    """The visible rows of a sheet, the texts of hidden rows and columns, and how many formulas have no value."""

    rows: list[list[str]]
    hidden: list[str]
    uncounted: int = 0


def _rows(data: bytes, book: _Book) -> _Sheet:
    sheet = _Sheet([], [])
    rows, hidden = sheet.rows, sheet.hidden
    places: dict[int, int] = {}  # row number as written to its place in `rows`
    merged: list[tuple[int, int, int]] = []
    concealed: set[int] = set()
    expected = 1
    try:
        events = safe_xml.iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=True)
        for event, element in events:
            name = local(element)
            if event == "start":
                continue
            if name == "col" and element.get("hidden") in ("1", "true"):
                concealed.update(_columns(element))
            if name == "mergeCell":
                merged.extend(_downwards(element.get("ref") or ""))
            if name != "row":
                continue
            number = element.get("r") or ""
            position = int(number) if number.isdigit() else expected
            cells = _cells(element, book)
            sheet.uncounted += sum(_uncounted(cell) for cell in element)
            shown = [text for column, text in sorted(cells.items()) if column in concealed and text]
            if element.get("hidden") in ("1", "true"):
                shown = [text for text in cells.values() if text]
                cells = {}
            if shown and len(hidden) < 1000:
                hidden.append(" | ".join(shown))
            if position > expected and rows and rows[-1]:
                rows.append([])
            expected = position + 1
            width = min(max(cells, default=-1) + 1, _MOST_COLUMNS)
            places[position] = len(rows)
            rows.append([cells.get(i, "") if i not in concealed else "" for i in range(width)])
            element.clear()
            if len(rows) > _MOST_ROWS:
                raise LimitExceeded(f"a sheet has more than {_MOST_ROWS} rows", what="characters")
    except DefusedXmlException as exc:
        raise CorruptDocument("a sheet declares XML entities") from exc
    except ParseError as exc:
        raise CorruptDocument(f"a sheet is not well-formed: {exc}") from exc
    _fill_down(rows, places, merged)
    return sheet


def _downwards(reference: str) -> list[tuple[int, int, int]]:
    """Column, first and last row of cells merged over several rows of one column; nothing for other merges."""
    first, _colon, last = reference.partition(":")
    a, b = _REFERENCE.match(first), _REFERENCE.match(last)
    if a is None or b is None or a[1] != b[1] or int(b[2]) <= int(a[2]):
        return []
    return [(_column(a[1]), int(a[2]), int(b[2]))]


def _fill_down(rows: list[list[str]], places: dict[int, int], merged: list[tuple[int, int, int]]) -> None:
    """What stands once beside several rows belongs to each of them."""
    for column, first, last in merged[:_MOST_ROWS]:
        top = places.get(first)
        text = rows[top][column] if top is not None and column < len(rows[top]) else ""
        for number in range(first + 1, min(last, first + _MOST_ROWS) + 1) if text else ():
            at = places.get(number)
            if at is None or not any(rows[at]):
                continue
            rows[at].extend([""] * (column + 1 - len(rows[at])))
            rows[at][column] = rows[at][column] or text


def _uncounted(cell: Element) -> bool:
    """Whether a cell holds a formula whose value nobody has stored."""
    stored = {local(part): part.text for part in cell}
    return "f" in stored and not stored.get("v")


def _columns(element: Element) -> range:
    low, high = element.get("min") or "0", element.get("max") or "0"
    if not (low.isdigit() and high.isdigit()):
        return range(0)
    return range(int(low) - 1, min(int(high), _MOST_COLUMNS))


def _cells(row: Element, book: _Book) -> dict[int, str]:
    cells: dict[int, str] = {}
    column = -1
    for cell in row:
        if local(cell) != "c":
            continue
        match = _REFERENCE.match(cell.get("r") or "")
        column = _column(match[1]) if match else column + 1
        text = _value(cell, book)
        if text and column < _MOST_COLUMNS:
            cells[column] = text
    return cells


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _value(cell: Element, book: _Book) -> str:
    kind = attribute(cell, "t") or "n"
    if kind == "inlineStr":
        inline = next((e for e in cell if local(e) == "is"), None)
        return _rich(inline) if inline is not None else ""
    raw = next((e.text for e in cell if local(e) == "v"), None)
    if raw is None:
        return ""
    if kind == "s":
        index = int(raw) if raw.isdigit() else -1
        return book.strings[index] if 0 <= index < len(book.strings) else ""
    if kind == "b":
        return "TRUE" if raw.strip() == "1" else "FALSE"
    if kind in ("str", "e", "d"):
        return raw
    try:
        number = float(raw)
    except ValueError:
        return raw
    style = cell.get("s") or ""
    code = book.formats[int(style)] if style.isdigit() and int(style) < len(book.formats) else "General"
    return show(number, code, epoch_1904=book.epoch_1904)
