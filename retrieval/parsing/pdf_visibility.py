"""Tells text that a reader sees from text that is only in the file.

Hidden: render mode "invisible" without a picture underneath, text outside the page, text too small to read,
and text whose place on the rendered page shows nothing at all (white on white, under a black bar, in a layer
that is switched off). An invisible layer over the ink of a scan is what OCR programs write, and is text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as c
from numpy.typing import NDArray

from retrieval.parsing.pdf_glyphs import INVISIBLE_MODES, Glyph, Run, View

TINY_POINTS = 1.6
_LEAST_CONTRAST = 14
_SCALE = 1.5
_LONG_SIDE = 1800.0
_MOST_OBJECTS = 20_000
_MOST_PICTURES = 500
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Scenery:
    """What else is painted on a page: boxes of pictures (displayed points), and how many shapes."""

    pictures: tuple[Box, ...]
    shapes: int


def scenery(page: pdfium.PdfPage, view: View) -> Scenery:
    """Pictures and painted shapes, also inside forms (nested at most four deep)."""
    pictures: list[Box] = []
    shapes = 0
    for kind, box in islice(_objects(page, view), _MOST_OBJECTS):
        if kind == c.FPDF_PAGEOBJ_IMAGE:
            pictures.append(box)
        else:
            shapes += 1
    pictures.sort(key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
    return Scenery(tuple(pictures[:_MOST_PICTURES]), shapes)


def _objects(page: pdfium.PdfPage, view: View) -> Iterator[tuple[int, Box]]:
    kinds = (c.FPDF_PAGEOBJ_IMAGE, c.FPDF_PAGEOBJ_PATH, c.FPDF_PAGEOBJ_SHADING)
    for found in page.get_objects(filter=kinds, max_depth=4):
        try:
            yield found.type, view.box(*found.get_bounds())
        except pdfium.PdfiumError:
            continue


def hidden_runs(
    page: pdfium.PdfPage, view: View, runs: list[Run], scene: Scenery, *, layers: bool = False
) -> dict[int, str]:
    """The runs (by `order`) that a reader cannot see, each with the reason; `layers`: parts of pages may be off."""
    hidden: dict[int, str] = {}
    picture: NDArray[np.uint8] | None = None
    scale = min(_SCALE, _LONG_SIDE / max(view.width, view.height, 1.0))
    for run in runs:
        inked = [glyph for glyph in run.glyphs if not glyph.char.isspace()]
        if not inked:
            continue
        box = _union(inked)
        if run.size < TINY_POINTS:
            hidden[run.order] = "too small to read"
        elif box[2] <= 0 or box[3] <= 0 or box[0] >= view.width or box[1] >= view.height:
            hidden[run.order] = "outside the page"
        elif run.mode in INVISIBLE_MODES and not any(_overlap(box, other) for other in scene.pictures):
            hidden[run.order] = "invisible text"
        elif run.mode in INVISIBLE_MODES or layers or _suspicious(run) or scene.pictures or scene.shapes:
            if picture is None:
                picture = np.asarray(page.render(scale=scale, may_draw_forms=False).to_numpy())
            if _contrast(picture, box, scale) < _LEAST_CONTRAST:
                hidden[run.order] = (
                    "invisible text" if run.mode in INVISIBLE_MODES else "same colour as the background, covered or off"
                )
    return hidden


def _suspicious(run: Run) -> bool:
    red, green, blue, alpha = run.fill
    return run.doubtful or min(red, green, blue) > 200 or alpha < 60


def _contrast(picture: NDArray[np.uint8], box: Box, scale: float) -> int:
    """The largest difference between pixels of one channel inside the box, 0 to 255."""
    height, width = picture.shape[:2]
    inset = (box[3] - box[1]) * 0.08
    x0, x1 = max(0, int(box[0] * scale)), min(width, int(box[2] * scale) + 1)
    y0, y1 = max(0, int((box[1] + inset) * scale)), min(height, int((box[3] - inset) * scale) + 1)
    if x1 <= x0 or y1 <= y0:
        return 0
    part = picture[y0:y1, x0:x1].reshape(-1, picture.shape[2] if picture.ndim == 3 else 1)
    return int((part.max(axis=0).astype(int) - part.min(axis=0)).max())


def _union(glyphs: list[Glyph]) -> Box:
    return (
        min(glyph.x0 for glyph in glyphs),
        min(glyph.y0 for glyph in glyphs),
        max(glyph.x1 for glyph in glyphs),
        max(glyph.y1 for glyph in glyphs),
    )


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
