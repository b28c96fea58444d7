"""Reads text out of pictures with the PP-OCRv4 models that come inside the rapidocr-onnxruntime wheel.

Chinese and English, on the processor, offline. Finds out how the page is turned (quarter turns from the shape
of the found lines, upside down from the direction classifier, small skew from their slope) and straightens it
before reading; the places are given back in the coordinates of the picture as it came. Knows pictures only.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.parsing.layout import Piece

_LEAST_SCORE = 0.5
_LEAST_SIDE = 24
_LONG_SIDE = 2000
_JURY = 12


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
    turn = _orientation(small)
    upright = _turned(small, turn)
    found = _engine()(_pixels(upright), use_cls=False)[0] or []
    pieces = []
    for corners, text, score in found:
        if float(score) < _LEAST_SCORE or not str(text).strip():
            continue
        points = np.asarray(corners, dtype=float)
        shown = _bounds(_turned_back(points, turn, upright.size, small.size) / shrink)
        pieces.append(_piece(points / shrink, str(text), shown))
    return Reading(tuple(pieces), turn)


def scaled(piece: Piece, factor: float) -> Piece:
    """The piece in other units."""
    shown = piece.shown or (piece.x0, piece.y0, piece.x1, piece.y1)
    x0, y0, x1, y1 = (value * factor for value in (piece.x0, piece.y0, piece.x1, piece.y1))
    box = (shown[0] * factor, shown[1] * factor, shown[2] * factor, shown[3] * factor)
    return Piece(piece.text, x0, y0, x1, y1, piece.base * factor, piece.size * factor, piece.bold, box)


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Blue, green, red: the order the models were trained on."""
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])


def _orientation(picture: Image.Image) -> float:
    """How many degrees counter-clockwise the page's text is turned, from its lines' shapes and slopes."""
    engine = _engine()
    pixels = _pixels(picture)
    boxes = _boxes(engine, pixels)
    if len(boxes) == 0:
        return 0.0
    sides = [(_length(box[0], box[1]), _length(box[0], box[3])) for box in boxes]
    tall = sum(height for width, height in sides if height > 1.8 * width)
    wide = sum(width for width, height in sides if width > 1.8 * height)
    turn = 0.0
    if tall > 1.5 * wide and sum(height > 1.8 * width for width, height in sides) >= 3:
        turn = 90.0
        picture = _turned(picture, turn)
        pixels = _pixels(picture)
        boxes = _boxes(engine, pixels)
    if len(boxes) == 0:
        return 0.0
    if _upside_down(engine, pixels, boxes):
        turn += 180.0
    return turn + _skew(boxes)


def _boxes(engine: Any, pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    found = engine.text_det(pixels)[0]
    return [] if found is None else [np.asarray(box, dtype=float) for box in found]


def _upside_down(engine: Any, pixels: NDArray[np.uint8], boxes: list[NDArray[np.float64]]) -> bool:
    """The direction classifier's vote over the longest lines, confirmed by reading them both ways."""
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
