"""The characters of a PDF page with their places, sizes and the way they are painted, as PDFium reports them.

Coordinates are points as a reader sees the page: rotation applied, origin top left, y downwards. Knows PDFium's
C interface (fpdf_text.h, fpdf_edit.h); does not know lines or paragraphs (`pdf_layout`).
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass, field
from itertools import groupby

import pypdfium2 as pdfium
import pypdfium2.raw as c

INVISIBLE_MODES = (3, 7)


@dataclass(slots=True)
class Run:
    """One text object: everything its glyphs share. `angle` in quarter turns as displayed, -1 for slanted;
    `doubtful` when it belongs to a layer or may be clipped away, so that only the painted page tells if it is seen."""

    size: float
    bold: bool
    mode: int
    fill: tuple[int, int, int, int]
    angle: int
    order: int
    doubtful: bool = False
    glyphs: list[Glyph] = field(default_factory=list)


@dataclass(slots=True)
class Glyph:
    """One character; `base` is the y of its baseline origin, `index` its place in PDFium's text page."""

    char: str
    x0: float
    y0: float
    x1: float
    y1: float
    base: float
    run: Run
    index: int


class View:
    """Turns PDF page coordinates into what a reader sees: the crop box, turned by the page's rotation."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self.left, self.bottom, self.right, self.top = page.get_cropbox()
        self.turn = page.get_rotation() % 360
        width, height = self.right - self.left, self.top - self.bottom
        self.width, self.height = (height, width) if self.turn in (90, 270) else (width, height)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point of the page as displayed."""
        if self.turn == 90:
            return y - self.bottom, x - self.left
        if self.turn == 180:
            return self.right - x, y - self.bottom
        if self.turn == 270:
            return self.top - y, self.right - x
        return x - self.left, self.top - y

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """A rectangle as displayed: x0, y0, x1, y1."""
        xa, ya = self.point(left, bottom)
        xb, yb = self.point(right, top)
        return min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)


def read_glyphs(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage, view: View) -> list[Glyph]:
    """Every character in PDFium's order, white space and generated line ends included."""
    handle = textpage.raw
    rect, x, y = c.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    p_rect, p_x, p_y = ctypes.byref(rect), ctypes.byref(x), ctypes.byref(y)
    get_char, get_box = c.FPDFText_GetUnicode, c.FPDFText_GetLooseCharBox
    get_origin, get_object = c.FPDFText_GetCharOrigin, c.FPDFText_GetTextObject
    runs: dict[int, Run] = {}
    nothing = Run(0.0, False, 0, (0, 0, 0, 255), 0, -1)
    glyphs: list[Glyph] = []
    pending = 0
    for index in range(textpage.count_chars()):
        code = get_char(handle, index)
        if 0xD800 <= code < 0xDC00:
            pending = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((pending - 0xD800) << 10) + (code - 0xDC00) if pending else 0xFFFD
        pending = 0
        char = chr(code) if 0 < code < 0x110000 else "\ufffd"
        found = get_object(handle, index)
        address = ctypes.cast(found, ctypes.c_void_p).value if found else None
        if address is None:
            glyphs.append(Glyph(char, 0.0, 0.0, 0.0, 0.0, 0.0, nothing, index))
            continue
        run = runs.get(address)
        if run is None:
            run = runs[address] = _run(found, handle, index, view, len(runs))
        get_box(handle, index, p_rect)
        get_origin(handle, index, p_x, p_y)
        box = view.box(rect.left, rect.bottom, rect.right, rect.top)
        glyph = Glyph(char, *box, view.point(x.value, y.value)[1], run, index)
        run.glyphs.append(glyph)
        glyphs.append(glyph)
    _repair(glyphs)
    return glyphs


def _repair(glyphs: list[Glyph]) -> None:
    """Put right what fonts without proper Unicode tables spoil, where the neighbours leave no doubt.

    A glyph that stands for several right-to-left letters (lam-alef, whole words in some fonts) comes out with its
    letters reversed; the ff, ffi and ffl ligatures of TeX fonts come out as unknown or as an arrow.
    """
    for _box, group in groupby(range(len(glyphs)), key=lambda i: (glyphs[i].x0, glyphs[i].x1, glyphs[i].run.order)):
        same = [index for index in group if glyphs[index].char != " "]
        if len(same) > 1 and all("\u0590" <= glyphs[index].char <= "\u08ff" for index in same):
            chars = [glyphs[index].char for index in reversed(same)]
            for index, char in zip(same, chars, strict=True):
                glyphs[index].char = char
    for index, glyph in enumerate(glyphs):
        if glyph.char not in "\ufffd\u21b5":
            continue
        neighbours = [g.char for g in glyphs[max(0, index - 1) : index + 2] if g is not glyph]
        if any(char.isascii() and char.islower() for char in neighbours):
            glyph.char = "ffi" if glyph.x1 - glyph.x0 > 0.68 * glyph.run.size else "ff"


def _run(found: ctypes._Pointer[ctypes.Structure], handle: object, index: int, view: View, order: int) -> Run:
    colors = [ctypes.c_uint() for _ in range(4)]
    filled = c.FPDFPageObj_GetFillColor(found, *(ctypes.byref(color) for color in colors))
    red, green, blue, alpha = (color.value for color in colors) if filled else (0, 0, 0, 255)
    angle = math.degrees(c.FPDFText_GetCharAngle(handle, index)) + view.turn
    quarter = round(angle / 90)
    if abs(angle - quarter * 90) > 8:
        # A sheared matrix (an italic made by the program) is not a turned one.
        matrix = c.FS_MATRIX()
        if c.FPDFPageObj_GetMatrix(found, ctypes.byref(matrix)):
            angle = view.turn - math.degrees(math.atan2(matrix.b, matrix.a))
            quarter = round(angle / 90)
    slanted = abs(angle - quarter * 90) > 8
    mode = c.FPDFTextObj_GetTextRenderMode(found)
    weight = c.FPDFText_GetFontWeight(handle, index)
    name = _font_name(found)
    bold = weight >= 600 or "bold" in name or "black" in name or "heavy" in name
    # FPDFText_GetFontSize knows nothing of the text matrix; the loose box does.
    rect = c.FS_RECTF()
    c.FPDFText_GetLooseCharBox(handle, index, ctypes.byref(rect))
    tall = abs(rect.top - rect.bottom) if (quarter - view.turn // 90) % 2 == 0 else abs(rect.right - rect.left)
    doubtful = _layered(found) or _clipped(found, handle, index)
    return Run(tall, bold, mode, (red, green, blue, alpha), -1 if slanted else quarter % 4, order, doubtful)


def _layered(found: ctypes._Pointer[ctypes.Structure]) -> bool:
    """Whether the object is marked as content of a layer (/OC)."""
    name, length = (ctypes.c_ushort * 8)(), ctypes.c_ulong()
    for at in range(min(c.FPDFPageObj_CountMarks(found), 20)):
        mark = c.FPDFPageObj_GetMark(found, at)
        told = mark and c.FPDFPageObjMark_GetName(mark, name, ctypes.sizeof(name), ctypes.byref(length))
        if told and bytes(name)[: length.value].decode("utf-16-le", "replace").rstrip("\x00") == "OC":
            return True
    return False


def _clipped(found: ctypes._Pointer[ctypes.Structure], handle: object, index: int) -> bool:
    """Whether the run begins outside the box of one of its clip paths."""
    clip = c.FPDFPageObj_GetClipPath(found)
    paths = c.FPDFClipPath_CountPaths(clip) if clip else 0
    if paths <= 0:
        return False
    x, y = ctypes.c_double(), ctypes.c_double()
    c.FPDFText_GetCharOrigin(handle, index, ctypes.byref(x), ctypes.byref(y))
    px, py = ctypes.c_float(), ctypes.c_float()
    for path in range(min(paths, 20)):
        xs, ys = [], []
        for at in range(min(c.FPDFClipPath_CountPathSegments(clip, path), 500)):
            segment = c.FPDFClipPath_GetPathSegment(clip, path, at)
            if segment and c.FPDFPathSegment_GetPoint(segment, ctypes.byref(px), ctypes.byref(py)):
                xs.append(px.value)
                ys.append(py.value)
        if xs and not (min(xs) - 1 <= x.value <= max(xs) + 1 and min(ys) - 1 <= y.value <= max(ys) + 1):
            return True
    return False


def _font_name(found: ctypes._Pointer[ctypes.Structure]) -> str:
    font = c.FPDFTextObj_GetFont(found)
    if not font:
        return ""
    buffer = ctypes.create_string_buffer(128)
    length = c.FPDFFont_GetBaseFontName(font, buffer, 128)
    return buffer.raw[: max(0, min(length, 128) - 1)].decode("latin-1").lower()
