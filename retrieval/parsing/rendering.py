"""Pictures of pages with the places of quotations, for PDF and images; runs in the sandboxed child.

A quotation is found by its letters and digits alone (NFKC, case folded), so that line breaks, hyphens and the
separators between table cells do not matter. PDF text is walked in the same reading order as when it was parsed;
OCR pages are matched against the layout that the parser returned.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from itertools import islice

import pypdfium2 as pdfium
from PIL import Image

from retrieval.errors import LimitExceeded, UnsupportedFormat
from retrieval.parsing import registry
from retrieval.parsing.base import Source
from retrieval.parsing.limits import Limits
from retrieval.parsing.sandbox.wire import Rect, RenderedPage
from retrieval.schema import ParsedPage

_WIDEST = 4_000
Box = tuple[float, float, float, float]


def render(
    source: Source, number: int, *, width: int, quotes: Sequence[str], page: ParsedPage | None, limits: Limits
) -> RenderedPage:
    """Page `number` as a PNG of `width` pixels; raises as `sandbox.render_page` says."""
    if not 1 <= width <= _WIDEST:
        raise LimitExceeded(f"a picture can be 1 to {_WIDEST} pixels wide", what="pixels")
    if source.media_type == registry.PDF:
        picture, boxes = _pdf_page(source.data, number, width, quotes, page, limits)
    elif registry.can_render(source.media_type):
        picture, boxes = _frame(source.data, number, width, limits), [[] for _ in quotes]
    else:
        raise UnsupportedFormat(f"there are no page pictures for {source.media_type}")
    if page is not None and page.layout:
        boxes = [found or layout_boxes(page, quote) for found, quote in zip(boxes, quotes, strict=True)]
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return RenderedPage(buffer.getvalue(), picture.width, picture.height, tuple(tuple(found) for found in boxes))


def _pdf_page(
    data: bytes, number: int, width: int, quotes: Sequence[str], page: ParsedPage | None, limits: Limits
) -> tuple[Image.Image, list[list[Rect]]]:
    from retrieval.parsing.pdf import open_pdf
    from retrieval.parsing.pdf_glyphs import View

    document = open_pdf(data)
    try:
        if not 1 <= number <= len(document):
            raise UnsupportedFormat(f"the PDF has no page {number} to show")
        document.init_forms()
        sheet = document[number - 1]
        view = View(sheet)
        scale = width / max(view.width, 1.0)
        if width * view.height * scale > limits.pixels:
            raise LimitExceeded("the page's picture has too many pixels", what="pixels")
        picture = sheet.render(scale=scale).to_pil().convert("RGB")
        boxes = _pdf_boxes(sheet, view, quotes) if quotes else []
        sheet.close()
    finally:
        document.close()
    return picture, boxes


def _pdf_boxes(sheet: pdfium.PdfPage, view: object, quotes: Sequence[str]) -> list[list[Rect]]:
    """For each quote the rectangles of its characters, one for each line."""
    from retrieval.parsing import layout
    from retrieval.parsing.columns import name_cells
    from retrieval.parsing.pdf import to_pieces
    from retrieval.parsing.pdf_glyphs import View, read_glyphs
    from retrieval.parsing.pdf_visibility import hidden_runs, scenery

    assert isinstance(view, View)
    textpage = sheet.get_textpage()
    glyphs = read_glyphs(sheet, textpage, view)
    textpage.close()
    runs = list({id(glyph.run): glyph.run for glyph in glyphs if glyph.run.order >= 0}.values())
    hidden = hidden_runs(sheet, view, runs, scenery(sheet, view)) if runs else {}
    glyphs = [glyph for glyph in glyphs if glyph.run.order not in hidden]
    by_index = {glyph.index: glyph for glyph in glyphs}
    pieces, _aside = to_pieces(glyphs, view)
    letters: list[tuple[str, int, Box | None]] = []  # the name of a column stands nowhere in its rows
    units = layout.arrange(pieces)
    name_cells(units)
    for row, (unit, line) in enumerate((block, line) for block in units for line in block.lines):
        for group, name in zip(line.groups, unit.names or [""] * len(line.groups), strict=True):
            letters += [(letter, row, None) for letter in folded(name)]
            for index, char in (pair for piece in group for pair in piece.letters):
                shown = by_index[index]
                letters += [(letter, row, (shown.x0, shown.y0, shown.x1, shown.y1)) for letter in folded(char)]
    painted = [letter for letter in letters if letter[2] is not None]
    found: list[list[Rect]] = []
    for quote in quotes:
        lines: dict[int, list[Box]] = {}
        for run in (letters, painted):  # the second for quotations of the page's own words across cells
            start, end = _find("".join(letter for letter, _, _ in run), quote)
            if start < end:
                break
        for _, at, box in run[start:end]:
            if box is not None:
                lines.setdefault(at, []).append(box)
        found.append([_rect(boxes, view.width, view.height) for boxes in lines.values()])
    return found


def layout_boxes(page: ParsedPage, quote: str) -> list[Rect]:
    """Where a quote stands on an OCR page: its share of each recognised line."""
    letters: list[str] = []
    offsets: list[int] = []
    for offset, char in enumerate(page.text):
        for letter in folded(char):
            letters.append(letter)
            offsets.append(offset)
    start, end = _find("".join(letters), quote)
    if start == end:
        return []
    first, last = offsets[start], offsets[end - 1] + 1
    found: list[Rect] = []
    for box in page.layout:
        low, high = max(first, box.char_start), min(last, box.char_end)
        if low >= high:
            continue
        x0, x1 = box.x0, box.x1
        if box.x1 - box.x0 > box.y1 - box.y0:
            share = (box.x1 - box.x0) / max(1, box.char_end - box.char_start)
            x0, x1 = box.x0 + (low - box.char_start) * share, box.x0 + (high - box.char_start) * share
        found.append(Rect(x0, box.y0, x1, box.y1))
    return found


def folded(text: str) -> str:
    """Letters and digits only, in one spelling."""
    if text.isascii():
        return "".join(char for char in text.lower() if char.isalnum())
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def _find(text: str, quote: str) -> tuple[int, int]:
    wanted = folded(quote)
    at = text.find(wanted) if wanted else -1
    return (at, at + len(wanted)) if at >= 0 else (0, 0)


def _rect(boxes: list[Box], width: float, height: float) -> Rect:
    x0, y0 = min(box[0] for box in boxes) / width, min(box[1] for box in boxes) / height
    x1, y1 = max(box[2] for box in boxes) / width, max(box[3] for box in boxes) / height
    return Rect(max(0.0, x0), max(0.0, y0), min(1.0, x1), min(1.0, y1))


def _frame(data: bytes, number: int, width: int, limits: Limits) -> Image.Image:
    from retrieval.parsing.images import frames

    picture = next(islice(frames(data, limits), max(0, number - 1), None), None)
    if picture is None or number < 1:
        raise UnsupportedFormat(f"the file has no picture {number}")
    height = max(1, round(picture.height * width / picture.width))
    if width * height > limits.pixels:
        raise LimitExceeded("the page's picture has too many pixels", what="pixels")
    return picture.resize((width, height))
