"""Reading order: from pieces of text with places to lines, columns, paragraphs, lists and table rows.

Knows geometry only, and serves PDF text and OCR alike. Columns are found as gutters that few pieces cross; what
crosses (titles, full-width tables) divides the page into bands that are read one after the other (after the
recursive X-Y cut of Nagy and Seth, 1984). A gutter whose two sides share their baselines and hold short cells is
a table and is read row by row.
"""

from __future__ import annotations

import bisect
import re
import statistics
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from retrieval.parsing import clean
from retrieval.parsing.tables import named_line
from retrieval.schema import BlockKind

_BULLET = re.compile(
    r"^(?:[*※•●▪■◦‣·∙○◆◇➢➤✓✔❖\uf0b7\uf0a7\uf0d8\uf076–—-]\s|\(?\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s|（[0-9一二三四五六七八九十]+）|\d{1,2}、)"
)
# A line that ends so is in the middle of a sentence, whatever the next one begins with.
_GOES_ON = re.compile(r"(,|\b(a|an|and|at|by|for|from|in|into|of|on|or|per|than|that|the|to|und|with))$")
_LEADER = re.compile(r"(?:[.…·_]\s?){5,}")
_ENDS = '.!?。！？:：;；…”"'
_MAX_DEPTH = 12


@dataclass(slots=True)
class Piece:
    """A stretch of text on one baseline. Points or pixels; y grows downwards.

    `shown` is its box on the page as displayed, where that differs (a picture that OCR had to turn); `letters`
    are its characters with their index in PDFium's text page.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    base: float
    size: float
    bold: bool = False
    shown: tuple[float, float, float, float] | None = None
    letters: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class Line:
    """Pieces on one baseline inside one column, in reading order."""

    pieces: list[Piece]
    x0: float
    y0: float
    x1: float
    y1: float
    base: float
    size: float
    bold: bool
    cells: list[str]
    groups: list[list[Piece]]  # the pieces of each cell

    @property
    def text(self) -> str:
        return " ".join(cell for cell in self.cells if cell)


@dataclass(slots=True)
class Unit:
    """A block to be: its lines and what they seem to be. `size` lets the caller rank headings, `names` are the
    names of the columns in which the cells of a table row stand, one for each cell, where they are known."""

    kind: BlockKind
    lines: list[Line]
    size: float
    bold: bool
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        if self.names:
            return named_line(self.names, self.lines[0].cells)
        if self.kind == "table_row":
            return " | ".join(cell for line in self.lines for cell in line.cells if cell)
        return _LEADER.sub(" … ", clean.join_lines([line.text for line in self.lines]))


def arrange(pieces: Sequence[Piece]) -> list[Unit]:
    """The page's blocks in reading order."""
    pieces = [piece for piece in pieces if piece.text.strip()]
    if not pieces:
        return []
    units: list[Unit] = []
    for region in _regions(list(pieces), 0):
        units.extend(_units(_lines(region)))
    return units


def rtl(text: str) -> bool:
    """Whether most letters of `text` are written from right to left."""
    right = left = 0
    for char in text:
        if char > "\u058f":
            kind = unicodedata.bidirectional(char)
            right += kind in ("R", "AL")
            left += kind == "L"
        else:
            left += char.isalpha()
    return right > left


def _regions(pieces: list[Piece], depth: int) -> list[list[Piece]]:
    if len(pieces) < 6 or depth >= _MAX_DEPTH:
        return [pieces]
    found = _gutter(pieces)
    if found is None:
        return [pieces]
    left_edge, right_edge = found
    middle = (left_edge + right_edge) / 2
    crossing = sorted((p for p in pieces if p.x0 < left_edge + 0.1 and p.x1 > right_edge - 0.1), key=lambda p: p.base)
    aside = [p for p in pieces if not (p.x0 < left_edge + 0.1 and p.x1 > right_edge - 0.1)]
    backwards = rtl("".join(piece.text for piece in pieces))
    result: list[list[Piece]] = []
    band_top = float("-inf")
    # Crossing lines close together belong to one band of their own.
    bands: list[list[Piece]] = []
    for piece in crossing:
        between = any(bands[-1][-1].base + 1 < p.base < piece.base - 1 for p in aside) if bands else True
        if between:
            bands.append([piece])
        else:
            bands[-1].append(piece)
    for band in [*bands, []]:
        limit = min((p.base for p in band), default=float("inf"))
        inside = [p for p in aside if band_top < p.base <= limit + 0.01]
        sides = [
            [p for p in inside if (p.x0 + p.x1) / 2 < middle],
            [p for p in inside if (p.x0 + p.x1) / 2 >= middle],
        ]
        for side in reversed(sides) if backwards else sides:
            if side:
                result.extend(_regions(side, depth + 1))
        if band:
            result.extend(_regions(band, depth + 1) if len(band) > 6 else [band])
            band_top = max(p.base for p in band)
    return result


def _gutter(pieces: list[Piece]) -> tuple[float, float] | None:
    """The clearest vertical gap between two columns of running text, None when there is one column.

    A page may have columns in one part only; then the gap is looked for between the lines that cross it.
    """
    found = _clear_gap(pieces, max(0, int(0.16 * len(pieces))))
    if found is not None:
        return found
    left, right = min(p.x0 for p in pieces), max(p.x1 for p in pieces)
    best: tuple[int, float] | None = None
    for step in range(21):
        x = left + (right - left) * (0.3 + 0.02 * step)
        count = sum(p.x0 < x < p.x1 for p in pieces)
        if best is None or count < best[0]:
            best = count, x
    assert best is not None
    x = best[1]
    edges = [float("-inf"), *sorted(p.base for p in pieces if p.x0 < x < p.x1), float("inf")]
    bands = [[p for p in pieces if a < p.base < b] for a, b in pairwise(edges)]
    largest = max(bands, key=len)
    return _clear_gap(largest, 0) if len(largest) >= 10 else None


def _clear_gap(pieces: list[Piece], allowed: int) -> tuple[float, float] | None:
    """The best gap that at most `allowed` pieces cross and that has running text on both sides."""
    size = statistics.median(piece.size for piece in pieces) or 10.0
    left, right = min(p.x0 for p in pieces), max(p.x1 for p in pieces)
    if right - left < 16 * size:
        return None
    step = max(size / 5, (right - left) / 2000)
    count = int((right - left) / step) + 2
    changes = [0] * (count + 1)
    for piece in pieces:
        changes[max(0, int((piece.x0 - left) / step))] += 1
        changes[min(count, int((piece.x1 - left) / step) + 1)] -= 1
    cover = list(accumulate(changes[:count]))
    gaps: list[tuple[int, float, int, int]] = []
    start: int | None = None
    for position, value in enumerate([*cover, len(pieces) + 1]):
        if value <= allowed and start is None:
            start = position
        elif value > allowed and start is not None:
            if (position - start) * step >= 0.7 * size and start > 0 and position < count - 1:
                lowest = min(cover[start:position])
                exact = [i for i in range(start, position) if cover[i] == lowest]
                gaps.append((lowest, -(exact[-1] - exact[0]) * step, exact[0], exact[-1] + 1))
            start = None
    for _lowest, negative, first, last in sorted(gaps):
        low, high = left + first * step, left + last * step
        if -negative >= 0.5 * size and _is_column_gap(pieces, low, high, size):
            return low, high
    return None


def _is_column_gap(pieces: list[Piece], low: float, high: float, size: float) -> bool:
    lefts = [p for p in pieces if p.x1 <= low + size * 0.3]
    rights = [p for p in pieces if p.x0 >= high - size * 0.3]
    if len(lefts) < 3 or len(rights) < 3:
        return False
    if min(max(p.base for p in lefts), max(p.base for p in rights)) < max(
        min(p.base for p in lefts), min(p.base for p in rights)
    ):
        return False
    fewer, more = sorted((lefts, rights), key=len)
    bases = sorted(p.base for p in more)
    aligned = sum(_near(bases, piece.base, size * 0.2) for piece in fewer) / len(fewer)
    prose = min(_cell_length(lefts), _cell_length(rights)) >= 20
    return prose or (aligned < 0.4 and min(len(lefts), len(rights)) >= 4)


def _cell_length(pieces: list[Piece]) -> float:
    """Mean letters of what stands together on a line, ideographs counted double: short in tables."""
    rows: dict[int, list[Piece]] = {}
    for piece in pieces:
        rows.setdefault(round(piece.base / max(1.0, piece.size * 0.4)), []).append(piece)
    lengths: list[int] = []
    for row in rows.values():
        row.sort(key=lambda piece: piece.x0)
        for index, piece in enumerate(row):
            letters = len(piece.text) + sum(char > "\u2e80" for char in piece.text)
            if index and piece.x0 - row[index - 1].x1 < 1.2 * piece.size:
                lengths[-1] += letters
            else:
                lengths.append(letters)
    return sum(lengths) / max(1, len(lengths))


def _near(ordered: list[float], value: float, tolerance: float) -> bool:
    position = bisect.bisect_left(ordered, value - tolerance)
    return position < len(ordered) and ordered[position] <= value + tolerance


def _lines(pieces: list[Piece]) -> list[Line]:
    """Pieces grouped by baseline, top to bottom; raised and lowered small pieces join their neighbours."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: (p.base, p.x0)):
        for row in reversed(rows[-4:]):
            anchor = max(row, key=lambda p: p.size)
            reach = 0.5 * max(anchor.size, piece.size) if anchor.size != piece.size else 0.35 * piece.size
            if abs(anchor.base - piece.base) <= reach and not _collides(row, piece):
                row.append(piece)
                break
        else:
            rows.append([piece])
    return sorted((_line(row) for row in rows), key=lambda line: line.base)


def _collides(row: list[Piece], piece: Piece) -> bool:
    return any(min(p.x1, piece.x1) - max(p.x0, piece.x0) > 0.5 * min(p.x1 - p.x0, piece.x1 - piece.x0) for p in row)


def _line(row: list[Piece]) -> Line:
    backwards = rtl("".join(piece.text for piece in row))
    row = sorted(row, key=lambda p: -p.x1 if backwards else p.x0)
    size = max(row, key=lambda p: len(p.text)).size
    cells: list[str] = []
    groups: list[list[Piece]] = []
    previous: Piece | None = None
    for piece in row:
        gap = 0.0 if previous is None else max(piece.x0 - previous.x1, previous.x0 - piece.x1)
        text = piece.text.strip()
        if previous is None or gap > 1.4 * size:
            cells.append(text)
            groups.append([piece])
        else:
            groups[-1].append(piece)
            cells[-1] = _glue(cells[-1], text, gap, size, previous.text, piece.text)
        previous = piece
    letters = sum(len(piece.text) for piece in row)
    return Line(
        row,
        min(p.x0 for p in row),
        min(p.y0 for p in row),
        max(p.x1 for p in row),
        max(p.y1 for p in row),
        max(row, key=lambda p: len(p.text)).base,
        size,
        sum(len(p.text) for p in row if p.bold) > 0.6 * letters,
        [" ".join(cell.split()) for cell in cells],
        groups,
    )


def _glue(before: str, text: str, gap: float, size: float, raw_before: str, raw: str) -> str:
    spaced = raw_before.endswith(" ") or raw.startswith(" ") or gap > 0.15 * size
    wide = before[-1:] > "\u2e80" and text[:1] > "\u2e80"
    return f"{before} {text}" if spaced and not (wide and gap < 0.6 * size) else before + text


def _units(lines: list[Line]) -> list[Unit]:
    """Lines of one column into paragraphs, list items and table rows."""
    if not lines:
        return []
    left = min(line.x0 for line in lines)
    right = max(line.x1 for line in lines)
    table = _table_lines(lines)
    pitches = sorted(b.base - a.base for a, b in pairwise(lines) if b.base > a.base)
    units: list[Unit] = []
    previous: Line | None = None
    for index, line in enumerate(lines):
        if index in table:
            units.append(Unit("table_row", [line], line.size, line.bold))
        elif (
            units
            and previous is not None
            and (index - 1) not in table
            and _same(previous, line, units[-1], left, right, pitches)
        ):
            units[-1].lines.append(line)
        else:
            kind: BlockKind = "list_item" if _BULLET.match(line.text) else "paragraph"
            units.append(Unit(kind, [line], line.size, line.bold))
        previous = line
    return units


def _table_lines(lines: list[Line]) -> set[int]:
    """Indices of lines that stand in a run of at least two lines of two cells or more with common edges."""
    wide = [index for index, line in enumerate(lines) if len(line.cells) >= 2]
    found: set[int] = set()
    for a, b in pairwise(wide):
        if b - a > 2:
            continue
        first, second = lines[a], lines[b]
        if second.base - first.base > 5 * first.size:
            continue
        shared = sum(
            any(abs(p.x0 - q.x0) < first.size or abs(p.x1 - q.x1) < first.size for q in second.pieces)
            for p in first.pieces
        )
        if shared >= 2 or (shared >= 1 and min(len(first.cells), len(second.cells)) == 2):
            found.update((a, b))
    # In a table with empty cells neighbouring rows may share no column, but each stands in columns of the others.
    for run in _runs(wide, lines):
        edges = [[p.x0 for p in lines[i].pieces] for i in run]
        for at, index in enumerate(run):
            others = [x for other, xs in enumerate(edges) if other != at for x in xs]
            fits = sum(any(abs(p.x0 - x) < 0.5 * lines[index].size for x in others) for p in lines[index].pieces)
            if len(run) >= 4 and fits >= 2 and fits >= 0.7 * len(lines[index].pieces):
                found.add(index)
    # What stands in several cells between two rows of a table is a row as well, aligned or not.
    found.update(index for index in wide if index - 1 in found and index + 1 in found)
    return found


def _runs(wide: list[int], lines: list[Line]) -> list[list[int]]:
    """Lines of several cells that follow each other without anything between and without a wide gap."""
    runs: list[list[int]] = []
    for index in wide:
        if runs and index == runs[-1][-1] + 1 and lines[index].base - lines[index - 1].base < 5 * lines[index].size:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _same(before: Line, line: Line, unit: Unit, left: float, right: float, pitches: list[float]) -> bool:
    """Whether `line` continues the paragraph that ends with `before`."""
    size = max(before.size, 0.1)
    if abs(line.size - before.size) > 0.12 * size or line.bold != before.bold:
        return False
    step = line.base - before.base
    usual = pitches[len(pitches) // 3] if pitches else step
    if (step > max(1.35 * usual, 0.6 * size) and step > 1.25 * min(usual, size * 1.3)) or step > 2.2 * size:
        return False
    text = line.text
    if _BULLET.match(text) or _LEADER.search(before.text):
        return False
    backwards = rtl(before.text + text)
    width = right - left
    # A line is full when it reaches the margin, or when the next line's first word would not have fitted on it.
    word = 1 if text[:1] > "\u2e80" else len(text.split(maxsplit=1)[0])  # ideographs need no blank to be divided
    first_word = (line.x1 - line.x0) * (word + 1) / max(len(text), 1)
    room = before.x0 - left if backwards else right - before.x1
    reached = room < max(0.12 * width, 3 * size, 1.2 * first_word)
    indent = (right - line.x1) - (right - before.x1) if backwards else line.x0 - before.x0
    if unit.kind == "list_item":
        return indent > -0.6 * size and (reached or indent > 0.4 * size or not text[:1].isupper())
    if indent > 0.8 * size and len(unit.lines) > 1 and before.text[-1:] in _ENDS:
        return False
    if not reached and before.text[-1:] in _ENDS:
        return False
    if before.text[-1:] in _ENDS:
        return reached
    return reached or text[:1].islower() or bool(_GOES_ON.search(before.text))
