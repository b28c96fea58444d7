"""Shapes and their text as PowerPoint and Excel draw them (DrawingML, ECMA-376 part 1, 20 and 21).

Knows shapes, groups and paragraphs. Does not know slides, sheets or where on them a shape lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from retrieval.parsing import clean
from retrieval.parsing.archives import local
from retrieval.parsing.docx_styles import child


def shapes_of(tree: Element, *, unseen: bool = False) -> Iterator[tuple[Element, bool]]:
    """Shapes in drawing order, groups opened; with each whether the program was told not to draw it or its group."""
    for element in tree:
        name = local(element)
        if name in ("grpSp", "AlternateContent", "Choice"):
            yield from shapes_of(element, unseen=unseen or (name == "grpSp" and concealed(element)))
        elif name in ("sp", "graphicFrame", "cxnSp", "pic"):
            yield element, unseen or concealed(element)


def paragraphs_of(shape: Element) -> Iterator[tuple[int, str]]:
    """Level and text of each paragraph of a shape, tables left aside."""
    for body in (e for e in shape if local(e) == "txBody"):
        for paragraph in (e for e in body if local(e) == "p"):
            text = text_of(paragraph)
            if clean.one_line(text):
                properties = child(paragraph, "pPr")
                level = properties.get("lvl", "0") if properties is not None else "0"
                yield (int(level) if level.isdigit() else 0), text


def text_of(paragraph: Element) -> str:
    """The text of a paragraph, its line breaks and tabs as blanks."""
    parts = []
    for element in paragraph.iter():
        name = local(element)
        if name == "t":
            parts.append(element.text or "")
        elif name in ("br", "tab"):
            parts.append(" ")
    return "".join(parts)


def concealed(shape: Element) -> bool:
    """Whether the program was told not to draw the shape."""
    own = next((e for e in shape.iter() if local(e) == "cNvPr"), None)
    return own is not None and own.get("hidden") in ("1", "true")
