"""Which column each cell of a laid-out table stands in, so that a row can be read alone: "Header: value".

Knows places and `tables.looks_like_header`; does not know PDFium or pages. It speaks only where there is no doubt. What
would be doubtful (a cell under two columns, two cells in one, a first row that may be a row like the others) leaves the
table as it was: cells side by side. Nothing is moved: the order of the cells is the order in which they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from retrieval.parsing.layout import Line, Unit, rtl
from retrieval.parsing.tables import is_number, looks_like_header

_LEAST_ROWS = 3  # the header among them
_MOSTLY = 0.6  # of the cells below a name are numbers


def name_cells(units: Sequence[Unit]) -> None:
    """Give the rows of each table whose first row surely names its columns those names, in place."""
    for is_row, group in groupby(units, key=lambda unit: unit.kind == "table_row" and len(unit.lines) == 1):
        rows = list(group)
        if not is_row or len(rows) < _LEAST_ROWS:
            continue
        header, *others = rows
        placed = _placed([row.lines[0] for row in rows])
        if placed is None or not _is_header(rows, placed):
            continue
        names = [" ".join(cell.split()).rstrip(":：") for cell in header.lines[0].cells]
        for row, columns in zip(others, placed[1:], strict=True):
            cells = row.lines[0].cells
            row.names = tuple("" if names[at] == cell else names[at] for at, cell in zip(columns, cells, strict=True))


def _placed(lines: Sequence[Line]) -> list[list[int]] | None:
    """For each line the columns of its cells, as places in the first line; None where a cell may stand in two."""
    spans = [[(min(p.x0 for p in group), max(p.x1 for p in group)) for group in line.groups] for line in lines]
    columns: list[list[float]] = []
    for x0, x1 in sorted(span for row in spans for span in row):
        if columns and x0 < columns[-1][1]:
            columns[-1][1] = max(columns[-1][1], x1)
        else:
            columns.append([x0, x1])
    found = [[next(at for at, (low, high) in enumerate(columns) if low <= x0 < high) for x0, _ in row] for row in spans]
    if len(columns) < 2 or any(len(set(row)) < len(row) for row in found) or len(found[0]) != len(columns):
        return None
    order = {column: at for at, column in enumerate(found[0])}
    return [[order[column] for column in row] for row in found]


def _is_header(rows: Sequence[Unit], placed: Sequence[Sequence[int]]) -> bool:
    """Whether the first row names the columns: it looks so, and its type or the numbers below it say so too."""
    first, *others = (row.lines[0] for row in rows)
    if rtl(first.text):
        return False
    grid = [[""] * len(first.cells) for _ in rows]
    for row, line, columns in zip(grid, (first, *others), placed, strict=True):
        for cell, column in zip(line.cells, columns, strict=True):
            row[column] = cell
    if not looks_like_header(grid) or not all(any(map(str.isalpha, name)) for name in grid[0]):
        return False
    if first.bold and sum(line.bold for line in others) * 4 <= len(others):
        return True
    below = ([row[column] for row in grid[1:] if row[column]] for column in range(len(first.cells)))
    return any(len(cells) > 1 and sum(map(is_number, cells)) >= _MOSTLY * len(cells) for cells in below)
