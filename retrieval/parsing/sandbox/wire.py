"""The pages as plain data for the pipe between the sandboxed child and its parent, and back again.

JSON only: the parent trusts nothing that a child sends, so every value is rebuilt by its own constructor.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from retrieval.schema import Block, BlockKind, HiddenText, ParsedDocument, ParsedPage, TextBox

_KINDS = frozenset(get_args(BlockKind))


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle on a page, in fractions 0..1 of its width and height, origin top left."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page's picture (PNG), its size in pixels and, for each quote asked for, where it stands."""

    png: bytes
    width: int
    height: int
    boxes: tuple[tuple[Rect, ...], ...]


def page_to_dict(page: ParsedPage) -> dict[str, Any]:
    """One page as JSON data."""
    return {
        "number": page.number,
        "text": page.text,
        "blocks": [[b.kind, b.level, b.char_start, b.char_end] for b in page.blocks],
        "label": page.label,
        "ocr": page.ocr,
        "layout": [[t.char_start, t.char_end, t.x0, t.y0, t.x1, t.y1] for t in page.layout],
    }


def page_from_dict(data: Mapping[str, Any]) -> ParsedPage:
    """The page again; raises `ValueError`, `KeyError` or `TypeError` for data that is none."""
    blocks = tuple(Block(_kind(kind), int(level), int(a), int(b)) for kind, level, a, b in data["blocks"])
    layout = tuple(TextBox(int(a), int(b), *map(float, rest)) for a, b, *rest in data["layout"])
    label = data["label"]
    return ParsedPage(
        int(data["number"]),
        str(data["text"]),
        blocks,
        None if label is None else str(label),
        bool(data["ocr"]),
        layout,
    )


def document_to_dict(document: ParsedDocument) -> dict[str, Any]:
    """A whole document as JSON data."""
    return {
        "media_type": document.media_type,
        "title": document.title,
        "pages": [page_to_dict(page) for page in document.pages],
        "warnings": list(document.warnings),
        "hidden_text": [[h.page, h.text, h.reason] for h in document.hidden_text],
    }


def document_from_dict(data: Mapping[str, Any]) -> ParsedDocument:
    """The document again; raises as `page_from_dict` does."""
    title = data["title"]
    return ParsedDocument(
        str(data["media_type"]),
        None if title is None else str(title),
        tuple(page_from_dict(page) for page in data["pages"]),
        tuple(str(warning) for warning in data["warnings"]),
        tuple(HiddenText(int(page), str(text), str(reason)) for page, text, reason in data["hidden_text"]),
    )


def rendered_to_dict(page: RenderedPage) -> dict[str, Any]:
    """A picture as JSON data."""
    boxes = [[[r.x0, r.y0, r.x1, r.y1] for r in quote] for quote in page.boxes]
    png = base64.b64encode(page.png).decode("ascii")
    return {"png": png, "width": page.width, "height": page.height, "boxes": boxes}


def rendered_from_dict(data: Mapping[str, Any]) -> RenderedPage:
    """The picture again; raises as `page_from_dict` does."""
    boxes: Sequence[Sequence[Sequence[float]]] = data["boxes"]
    return RenderedPage(
        base64.b64decode(str(data["png"]), validate=True),
        int(data["width"]),
        int(data["height"]),
        tuple(tuple(Rect(*map(float, rect)) for rect in quote) for quote in boxes),
    )


def _kind(value: object) -> BlockKind:
    if value not in _KINDS:
        raise ValueError(f"unknown block kind {value!r}")
    return cast(BlockKind, value)
