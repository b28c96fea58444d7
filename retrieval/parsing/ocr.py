"""Reads text out of pictures with the PP-OCRv4 models that come inside the rapidocr-onnxruntime wheel.

Chinese and English, on the processor, offline. Finds out how the page is turned (quarter turns from the shape
of the found lines, upside down from the direction classifier, small skew from their slope) and straightens it
before reading; the places are given back in the coordinates of the picture as it came. Knows pictures only.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.parsing.layout import Piece

_LEAST_SCORE = 0.5
_LEAST_SIDE = 24
_LONG_SIDE = 2000
_DETECT_SIDE = 1280
_JURY = 12
_WORD_GAP = 0.16


@dataclass(frozen=True, slots=True)
class Reading:
    """Recognised pieces in pixels of the given picture; `turn` in degrees, how far it stood counter-clockwise."""

    pieces: tuple[Piece, ...]
    turn: float


@lru_cache(maxsize=1)
def _engine() -> Any:
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, print_verbose=False, max_side_len=_LONG_SIDE)


def read(picture: Image.Image) -> Reading:
    """The text of an RGB picture. Piece coordinates are of the straightened picture, `shown` of the given one."""
    if min(picture.size) < _LEAST_SIDE:
        return Reading((), 0.0)
    shrink = min(1.0, _LONG_SIDE / max(picture.size))
    small = picture
    if shrink < 1.0:
        small = picture.resize((round(picture.width * shrink), round(picture.height * shrink)))
    boxes = _detect(small)
    turn = _orientation(small, boxes)
    upright = _turned(small, turn)
    if turn:
        boxes = _detect(upright)
    pieces = []
    for points, text in _recognise(upright, boxes):
        shown = _bounds(_turned_back(points, turn, upright.size, small.size) / shrink)
        pieces.append(_piece(points / shrink, text, shown))
    return Reading(tuple(_evened(pieces)), turn)


def _evened(pieces: list[Piece]) -> list[Piece]:
    """Heights of found lines vary with their letters; those near the usual one get the usual one."""
    if not pieces:
        return pieces
    usual = statistics.median(piece.size for piece in pieces)
    return [replace(piece, size=usual) if abs(piece.size - usual) < 0.24 * usual else piece for piece in pieces]


def _detect(picture: Image.Image) -> list[NDArray[np.float64]]:
    """Corner points of each line of text, clockwise from its top left; found on a smaller copy, which suffices."""
    factor = min(1.0, _DETECT_SIDE / max(picture.size))
    copy = picture.resize((round(picture.width * factor), round(picture.height * factor))) if factor < 1 else picture
    found = _engine().text_det(_pixels(copy))[0]
    return [] if found is None else [np.asarray(box, dtype=float) / factor for box in found]


def _recognise(picture: Image.Image, boxes: list[NDArray[np.float64]]) -> Iterator[tuple[NDArray[np.float64], str]]:
    if not boxes:
        return
    engine = _engine()
    crops = engine.get_crop_img_list(_pixels(picture), np.asarray(boxes, dtype=np.float32))
    for box, crop, result in zip(boxes, crops, engine.text_rec(crops, True)[0], strict=True):
        text, score = str(result[0]), float(result[1])
        if score >= _LEAST_SCORE and text.strip():
            yield _trimmed(box, crop), _half_width(_with_spaces(text, result[2], crop))


def _with_spaces(text: str, columns: tuple[float, list[list[str]], list[list[int]], object, object], crop: Any) -> str:
    """Put back the blanks between words that the recogniser tends to swallow, where the picture shows a gap.

    `columns` are the recogniser's time steps: how many the line has, and at which each character was seen.
    """
    places = [column for group in columns[2] for column in group]
    if len(places) != len(text) or len(text) < 2 or columns[0] <= 0 or all(char > "\u2e7f" for char in text):
        return text
    blank = _blank_columns(crop)
    centres = [min(len(blank) - 1, int((place + 0.5) / columns[0] * len(blank))) for place in places]
    gaps = [_widest(blank[a : b + 1]) for a, b in pairwise(centres)]
    inner = [gap for gap, (a, b) in zip(gaps, pairwise(text), strict=True) if " " not in (a, b) and gap]
    seen = [_widest(blank[centres[i - 1] : centres[i + 1] + 1]) for i in range(1, len(text) - 1) if text[i] == " "]
    usual = statistics.median(inner) if inner else 0.0
    least = max(_WORD_GAP * crop.shape[0], 1.8 * usual, 0.7 * statistics.median(seen) if len(seen) > 1 else 0.0)
    parts = [text[0]]
    for gap, (before, char) in zip(gaps, pairwise(text), strict=True):
        narrow = before < "\u2e80" and char < "\u2e80"
        # Figures have wide sides, most of all the one: between two of them it takes more to be a blank.
        wanted = least * (1.6 if before.isdigit() and char.isdigit() else 1.0)
        if narrow and gap >= wanted and before != " " and char not in " ,.;:!?)]}%\u2019'" and before not in "([{":
            parts.append(" ")
        parts.append(char)
    return "".join(parts)


def _half_width(text: str) -> str:
    """Full-width signs as ASCII in a line without any ideograph: the recogniser mixes them up."""
    if any("\u3040" <= char <= "\u9fff" for char in text):
        return text
    return "".join(chr(ord(c) - 0xFEE0) if "\uff01" <= c <= "\uff5e" else c for c in text).replace("\u3002", ".")


def _blank_columns(crop: Any) -> NDArray[np.bool_]:
    """Which pixel columns of a line show nothing but its background."""
    grey = np.asarray(crop, dtype=np.int16).mean(axis=2)
    trim = max(1, grey.shape[0] // 10)
    grey = grey[trim:-trim] if grey.shape[0] > 4 * trim else grey
    background = float(np.median(grey))
    contrast = float(np.abs(grey - background).max())
    ink = np.abs(grey - background) > max(24.0, 0.35 * contrast)
    return np.asarray(~ink.any(axis=0))


def _trimmed(box: NDArray[np.float64], crop: Any) -> NDArray[np.float64]:
    """The box without the empty margins that detection adds at both ends, which would hide narrow gutters."""
    if crop.shape[1] < 2 * crop.shape[0] or _length(box[0], box[1]) < _length(box[0], box[3]):
        return box
    inked = np.flatnonzero(~_blank_columns(crop))
    if len(inked) == 0:
        return box
    start, end = inked[0] / crop.shape[1], (inked[-1] + 1) / crop.shape[1]
    top, bottom = box[1] - box[0], box[2] - box[3]
    return np.stack([box[0] + top * start, box[0] + top * end, box[3] + bottom * end, box[3] + bottom * start])


def _widest(blank: NDArray[np.bool_]) -> int:
    """The longest run of blank columns."""
    longest = run = 0
    for value in blank.tolist():
        run = run + 1 if value else 0
        longest = max(longest, run)
    return longest


def scaled(piece: Piece, factor: float) -> Piece:
    """The piece in other units."""
    shown = piece.shown or (piece.x0, piece.y0, piece.x1, piece.y1)
    x0, y0, x1, y1 = (value * factor for value in (piece.x0, piece.y0, piece.x1, piece.y1))
    box = (shown[0] * factor, shown[1] * factor, shown[2] * factor, shown[3] * factor)
    return Piece(piece.text, x0, y0, x1, y1, piece.base * factor, piece.size * factor, piece.bold, box)


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Blue, green, red: the order the models were trained on."""
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])


def _orientation(picture: Image.Image, boxes: list[NDArray[np.float64]]) -> float:
    """How many degrees counter-clockwise the page's text is turned, from its lines' shapes and slopes."""
    if not boxes:
        return 0.0
    sides = [(_length(box[0], box[1]), _length(box[0], box[3])) for box in boxes]
    tall = sum(height for width, height in sides if height > 1.8 * width)
    wide = sum(width for width, height in sides if width > 1.8 * height)
    turn = 0.0
    if tall > 1.5 * wide and tall > 0:
        turn = 90.0
        picture = _turned(picture, turn)
        boxes = _detect(picture)
        if not boxes:
            return 0.0
    if _upside_down(_pixels(picture), boxes):
        turn += 180.0
    return turn + _skew(boxes)


def _upside_down(pixels: NDArray[np.uint8], boxes: list[NDArray[np.float64]]) -> bool:
    """The direction classifier's vote over the longest lines, confirmed by reading them both ways."""
    engine = _engine()
    longest = sorted(boxes, key=lambda box: -_length(box[0], box[1]))[:_JURY]
    crops = engine.get_crop_img_list(pixels, np.asarray(longest, dtype=np.float32))
    votes = engine.text_cls([crop.copy() for crop in crops])[1]
    turned = sum(label == "180" for label, _score in votes)
    if turned * 3 < len(votes):
        return False
    crops = crops[: _JURY // 2]
    as_is = engine.text_rec([crop.copy() for crop in crops])[0]
    flipped = engine.text_rec([np.ascontiguousarray(crop[::-1, ::-1]) for crop in crops])[0]
    return sum(float(row[1]) for row in flipped) > sum(float(row[1]) for row in as_is)


def _skew(boxes: list[NDArray[np.float64]]) -> float:
    """The median slope of the long lines in degrees counter-clockwise; 0 when hardly any."""
    slopes = [
        -math.degrees(math.atan2(box[1][1] - box[0][1], box[1][0] - box[0][0]))
        for box in boxes
        if _length(box[0], box[1]) > 5 * _length(box[0], box[3])
    ]
    if len(slopes) < 3:
        return 0.0
    slope = statistics.median(slopes)
    return slope if 0.7 < abs(slope) < 30 else 0.0


def _turned(picture: Image.Image, turn: float) -> Image.Image:
    if not turn:
        return picture
    return picture.rotate(-turn, expand=True, fillcolor=(255, 255, 255), resample=Image.Resampling.BICUBIC)


def _turned_back(
    points: NDArray[np.float64], turn: float, size: tuple[int, int], original: tuple[int, int]
) -> NDArray[np.float64]:
    """Points of the straightened picture as points of the picture that was given."""
    angle = math.radians(-turn)
    centred = points - np.asarray(size) / 2
    x = centred[:, 0] * math.cos(angle) - centred[:, 1] * math.sin(angle)
    y = centred[:, 0] * math.sin(angle) + centred[:, 1] * math.cos(angle)
    return np.stack([x, y], axis=1) + np.asarray(original) / 2


def _bounds(points: NDArray[np.float64]) -> tuple[float, float, float, float]:
    low, high = points.min(axis=0), points.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _piece(points: NDArray[np.float64], text: str, shown: tuple[float, float, float, float]) -> Piece:
    x0, y0, x1, y1 = _bounds(points)
    height = max(1.0, _length(points[0], points[3]))
    # Detected boxes reach a little beyond the letters; about 0.8 of their height is the type's size.
    return Piece(text, x0, y0, x1, y1, y1 - 0.22 * height, 0.8 * height, False, shown)


def _length(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(math.hypot(b[0] - a[0], b[1] - a[1]))
