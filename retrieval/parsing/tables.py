"""Rows of cells as lines that can be quoted alone: "Header: value; Header: value".

Knows tables as lists of strings, whatever format they came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from retrieval.parsing import clean

_NUMBER = re.compile(r"^[\s$€£¥₩()+\-−–]*[\d][\d\s.,:/%'’-]*(?:%|€|\$|[A-Za-z]{0,3})?\)?\s*$")
_HEADER_LENGTH = 80


def row_lines(rows: Sequence[Sequence[str]], *, header: bool | None) -> Iterator[str]:
    """One line per row that has text.

    `header` says whether the first row names the columns; None lets its look decide. With a header each line
    repeats the names, without one the cells stand side by side.
    """
    cleaned = [[clean.one_line(cell) for cell in row] for row in rows]
    cleaned = [row for row in cleaned if any(row)]
    if not cleaned:
        return
    if header is None:
        header = looks_like_header(cleaned)
    if not header or len(cleaned) == 1:
        yield from (plain_line(row) for row in cleaned)
        return
    names = cleaned[0]
    for row in cleaned[1:]:
        yield named_line(names, row)


def named_line(names: Sequence[str], row: Sequence[str]) -> str:
    """A row with its column names; a row with a single cell across the table stands as it is."""
    filled = [cell for cell in row if cell]
    if len(names) > 2 and len(set(filled)) == 1 and (len(filled) > 1 or row[0]):
        return filled[0]
    parts = []
    for index, cell in enumerate(row):
        if not cell:
            continue
        name = names[index].rstrip(":：") if index < len(names) else ""
        parts.append(f"{name}: {cell}" if name and name != cell else cell)
    return "; ".join(parts)


def plain_line(row: Sequence[str]) -> str:
    """A row without column names: label and value as "label: value", else cells side by side."""
    filled = [cell for cell in row if cell]
    if len(filled) == 2 and filled[0][-1] in ":：":
        return " ".join(filled)
    return " | ".join(filled)


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: short, distinct words, no numbers, none missing among used ones."""
    if len(rows) < 2:
        return False
    first = rows[0]
    names = [cell for cell in first if cell]
    used = [i for i in range(max(map(len, rows))) if any(i < len(row) and row[i] for row in rows[1:])]
    if len(names) < 2 or len(set(names)) < len(names):
        return False
    missing = sum(1 for i in used if i >= len(first) or not first[i])
    if missing > 1 or (missing and len(used) < 3):
        return False
    if any(is_number(name) or len(name) > _HEADER_LENGTH for name in names):
        return False
    if len(names) == 2:
        labels = [row[0] for row in rows if row and row[0]]
        return sum(label[-1] in ":：" for label in labels) * 2 < len(labels)
    return True


def is_number(cell: str) -> bool:
    """Whether a cell is a number, an amount, a date or a time."""
    return bool(_NUMBER.match(cell))
