"""A spreadsheet's rows as pages of quotable lines, whatever file they came from.

Finds the row that names the columns (titles above it become a heading), repeats the names in every line, and
divides long sheets into pages that all carry the sheet's name.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.parsing import clean
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import is_number, looks_like_header, named_line, plain_line

_SEARCHED = 12


def write_sheet(writer: PageWriter, name: str | None, rows: Sequence[Sequence[str]]) -> None:
    """Write one sheet; empty rows separate tables, each with a header of its own."""
    writer.start(name)
    if name:
        writer.add("heading", name, 1)
    for table in _tables(rows):
        _write_table(writer, table)


def _tables(rows: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    tables: list[list[list[str]]] = [[]]
    for row in rows:
        cells = [clean.one_line(cell) for cell in row]
        if any(cells):
            tables[-1].append(cells)
        elif tables[-1]:
            tables.append([])
    return _rejoined([table for table in tables if table])


def _rejoined(tables: list[list[list[str]]]) -> list[list[list[str]]]:
    """A table that an empty row has cut in two is one: the second part has no header of its own."""
    joined: list[list[list[str]]] = []
    for table in tables:
        previous = joined[-1] if joined else None
        if previous and _header_at(previous) is not None and _header_at(table) is None and _wide(table) > 1:
            previous.extend(table)
        else:
            joined.append(table)
    return joined


def _wide(table: list[list[str]]) -> int:
    return max(sum(bool(cell) for cell in row) for row in table)


def _header_at(table: list[list[str]]) -> int | None:
    for index in range(min(_SEARCHED, len(table) - 1)):
        if sum(bool(cell) for cell in table[index]) < 2:
            continue
        if looks_like_header(table[index:]) and _below_differs(table, index):
            return index
        if any(is_number(cell) for cell in table[index] if cell):
            return None
    return None


def _below_differs(table: list[list[str]], index: int) -> bool:
    """A header of two columns is believed when values stand under it, else any pair of words would be one."""
    names = [cell for cell in table[index] if cell]
    if len(names) > 2:
        return True
    body = table[index + 1 :]
    numbers = sum(any(is_number(cell) for cell in row if cell) for row in body)
    return numbers * 2 >= len(body) or len(body) >= 4


def _write_table(writer: PageWriter, table: list[list[str]]) -> None:
    at = _header_at(table)
    for row in table[: at if at is not None else 0]:
        writer.add("paragraph", plain_line(row))
    if at is None:
        for row in table:
            writer.add("table_row", plain_line(row))
        return
    names = table[at]
    for row in table[at + 1 :]:
        writer.add("table_row", named_line(names, row))
