"""Excel 97 to 2003 workbooks (XLS) to pages, with xlrd: visible sheets, values as displayed."""

from __future__ import annotations

import struct
from typing import Any

import xlrd

from retrieval.errors import CorruptDocument, EncryptedDocument
from retrieval.parsing.base import Context, Source
from retrieval.parsing.number_formats import show
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.sheets import write_sheet
from retrieval.schema import ParsedDocument

_DAMAGE = (xlrd.XLRDError, xlrd.compdoc.CompDocError, struct.error, IndexError, KeyError, AssertionError, ValueError,
           TypeError, AttributeError, OverflowError, UnicodeError)  # fmt: skip


class _Silence:
    """xlrd reports oddities to a log file; nobody reads it here."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return


def parse(source: Source, context: Context) -> ParsedDocument:
    """The visible sheets in order."""
    try:
        book = xlrd.open_workbook(file_contents=source.data, formatting_info=True, logfile=_Silence())
    except xlrd.XLRDError as exc:
        if "ncrypt" in str(exc) or "assword" in str(exc):
            raise EncryptedDocument("the workbook is protected by a password") from exc
        raise CorruptDocument(f"not a readable workbook: {exc}"[:300]) from exc
    except _DAMAGE as exc:
        raise CorruptDocument(f"the workbook is damaged: {exc}"[:300]) from exc
    writer = PageWriter(context.limits, flow=True)
    for number, sheet in enumerate(book.sheets(), 1):
        rows: list[list[str]] = []
        hidden: list[str] = []
        for row in range(sheet.nrows):
            cells = [_value(book, sheet.cell(row, column)) for column in range(sheet.row_len(row))]
            info = sheet.rowinfo_map.get(row)
            if info is not None and info.hidden:
                hidden.append(" | ".join(cell for cell in cells if cell))
                continue
            for column, text in enumerate(cells):
                shape = sheet.colinfo_map.get(column)
                if text and shape is not None and shape.hidden:
                    hidden.append(text)
                    cells[column] = ""
            rows.append(cells)
        if sheet.visibility:
            writer.hide("; ".join(" | ".join(c for c in row if c) for row in rows), f"hidden sheet {sheet.name}")
            continue
        write_sheet(writer, sheet.name, rows)
        writer.hide("; ".join(text for text in hidden if text), f"hidden rows or columns of sheet {sheet.name}")
        context.progress(number, book.nsheets)
    return writer.document(source.media_type, None)


def _value(book: Any, cell: Any) -> str:
    if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
        return ""
    if cell.ctype == xlrd.XL_CELL_TEXT:
        return str(cell.value)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, "#ERROR"))
    code = "General"
    if cell.xf_index is not None and 0 <= cell.xf_index < len(book.xf_list):
        found = book.format_map.get(book.xf_list[cell.xf_index].format_key)
        code = found.format_str if found is not None else code
    return show(float(cell.value), code, epoch_1904=bool(book.datemode))
