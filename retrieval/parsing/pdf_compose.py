"""Laid-out pages into finished ones: repeated head and foot lines go, sizes become heading levels.

Shared by PDF and pictures. Knows blocks and their type sizes; knows neither PDFium nor OCR.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from retrieval.parsing import clean
from retrieval.parsing.layout import Unit
from retrieval.parsing.pages import PageWriter
from retrieval.schema import Block, BlockKind, TextBox

_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"^(?:[-–—·|]?\s*\d{1,4}\s*[-–—·|]?|[ivxlc]{1,6}|(?:page|seite|p\.)\s*\d{1,4}(?:\s*(?:of|von|/)\s*\d{1,4})?|\d{1,4}\s*/\s*\d{1,4}"
    r"|第\s*\d{1,4}\s*页(?:\s*[,，/]?\s*共\s*\d{1,4}\s*页)?)$",
    re.IGNORECASE,
)


@dataclass(slots=True)
class PageDraft:
    """A page between reading and writing: its blocks with their sizes, before headings are ranked."""

    units: list[Unit]
    height: float
    label: str | None
    ocr: bool = False
    extra: list[str] = field(default_factory=list)
    boxes: tuple[float, float] = (1.0, 1.0)


def drop_repeated(pages: list[PageDraft]) -> None:
    """Take out page numbers, and head and foot lines that stand on many pages; the first one stays."""
    for page in pages:
        page.units = [unit for unit in page.units if not _is_page_number(unit, page)]
    if len(pages) < 2:
        return

    def signature(unit: Unit, page: PageDraft) -> tuple[str, int] | None:
        if len(unit.lines) > 2 or not unit.text:
            return None
        where = unit.lines[0].base / max(1.0, page.height)
        if 0.13 < where < 0.88:
            return None
        return _DIGITS.sub("#", unit.text), round(where * 25)

    marks = [{signature(unit, page) for unit in page.units} - {None} for page in pages]
    counts = Counter(mark for found in marks for mark in found)
    extras = Counter(text for page in pages for text in set(page.extra))
    filled = sum(bool(page.units) for page in pages)
    seen: set[str] = set()
    for page in pages:
        kept = []
        for unit in page.units:
            mark = signature(unit, page)
            if mark is not None and counts[mark] >= min(3, filled) > 1 and counts[mark] > 0.4 * filled:
                if mark[0] in seen or not re.search(r"[^\W\d_#]{3}|[\u3400-\u9fff]", mark[0]):
                    continue
                seen.add(mark[0])
            kept.append(unit)
        page.units = kept
        page.extra = [text for text in page.extra if extras[text] < 3 or text not in seen]
        seen.update(page.extra)


def _is_page_number(unit: Unit, page: PageDraft) -> bool:
    """A number alone, or "page 3 of 7", at the very head or foot of a page."""
    where = unit.lines[0].base / max(1.0, page.height)
    return (where < 0.1 or where > 0.9) and len(unit.lines) == 1 and bool(_PAGE_NUMBER.match(unit.text.strip()))


def _merge_headings(units: list[Unit], body: float, levels: list[float], *, ocr: bool) -> list[Unit]:
    """A heading that runs over several lines is one heading."""
    merged: list[Unit] = []
    for unit in units:
        before = merged[-1] if merged else None
        level = _level(before, body, levels, ocr=ocr) if before is not None and _goes_on(before, unit) else 0
        if before is not None and level and _level(unit, body, levels, ocr=ocr) == level:
            merged[-1] = Unit("paragraph", [*before.lines, *unit.lines], before.size, before.bold)
            continue
        merged.append(unit)
    return merged


def _goes_on(before: Unit, unit: Unit) -> bool:
    last, line = before.lines[-1], unit.lines[0]
    close = 0.5 * last.size < line.base - last.base < 2.1 * last.size
    alike = abs(line.size - last.size) < 0.06 * last.size and line.bold == last.bold
    long = last.x1 - last.x0 > 12 * last.size or unit.text[:1].islower()
    return close and alike and long and unit.kind == before.kind == "paragraph" and len(before.lines) < 3


def write_pages(writer: PageWriter, pages: list[PageDraft]) -> float:
    """Rank the headings over all pages, write every page; returns the size of body text."""
    body, levels = _sizes(pages)
    for page in pages:
        page.units = _merge_headings(page.units, body, levels, ocr=page.ocr)
        _write(writer, page, body, levels)
    return body


def _sizes(pages: list[PageDraft]) -> tuple[float, list[float]]:
    """The size of body text, and the sizes above it from large to small: the heading levels."""
    letters: Counter[float] = Counter()
    for page in pages:
        for unit in page.units:
            for line in unit.lines:
                letters[round(line.size * 2) / 2] += len(line.text)
    if not letters:
        return 0.0, []
    body = letters.most_common(1)[0][0]
    larger = sorted({size for size in letters if size > body * 1.14}, reverse=True)
    levels: list[float] = []
    for size in larger:
        if not levels or levels[-1] - size > 0.08 * size:
            levels.append(size)
    return body, levels[:5]


def _level(unit: Unit, body: float, levels: list[float], *, ocr: bool) -> int:
    """The heading level of a block, 0 when it is none."""
    text = unit.text
    if unit.kind != "paragraph" or len(unit.lines) > 3 or not 2 <= len(text) <= 200 or text[-1] in ".,;。，；":
        return 0
    if not any(char.isalpha() for char in text):
        return 0
    size = round(unit.size * 2) / 2
    if size > body * (1.35 if ocr else 1.14):
        return next((rank for rank, at in enumerate(levels, 1) if size >= at - 0.04 * at), len(levels) or 1)
    if unit.bold and not ocr and len(unit.lines) <= 2 and len(text) <= 120 and size >= body * 0.95:
        return min(6, len(levels) + 1)
    return 0


def _write(writer: PageWriter, page: PageDraft, body: float, levels: list[float]) -> None:
    parts: list[str] = []
    blocks: list[Block] = []
    boxes: list[TextBox] = []
    position = 0
    for unit in page.units:
        text = clean.one_line(unit.text.replace("\ufffd", " "))
        if not text:
            continue
        level = _level(unit, body, levels, ocr=page.ocr)
        kind: BlockKind = "heading" if level else unit.kind
        blocks.append(Block(kind, level, position, position + len(text)))
        if page.ocr:
            boxes.extend(_boxes(unit, text, position, page.boxes))
        parts.append(text)
        position += len(text) + 1
    for extra in page.extra:
        text = clean.one_line(extra.replace("\ufffd", " "))
        blocks.append(Block("caption", 0, position, position + len(text)))
        parts.append(text)
        position += len(text) + 1
    writer.finished_page("\n".join(parts), tuple(blocks), label=page.label, ocr=page.ocr, layout=tuple(boxes))


def _boxes(unit: Unit, text: str, offset: int, size: tuple[float, float]) -> list[TextBox]:
    """Where each piece of a block's text stands, found again in the joined text one after the other."""
    found: list[TextBox] = []
    cursor = 0
    for line in unit.lines:
        for piece in line.pieces:
            wanted = clean.one_line(piece.text).rstrip("-")
            at = text.find(wanted, cursor)
            if at < 0 or not wanted:
                continue
            cursor = at + len(wanted)
            box = piece.shown or (piece.x0, piece.y0, piece.x1, piece.y1)
            x0, x1 = (min(1.0, max(0.0, value / size[0])) for value in (box[0], box[2]))
            y0, y1 = (min(1.0, max(0.0, value / size[1])) for value in (box[1], box[3]))
            found.append(TextBox(offset + at, offset + cursor, x0, y0, x1, y1))
    return found
