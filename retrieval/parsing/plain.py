"""Plain text in any encoding: paragraphs, lists and headings as far as the lines show them.

Knows the habits of text files (empty lines between paragraphs, underlined or numbered headings, bullets).
"""

from __future__ import annotations

import re

from retrieval.parsing import clean
from retrieval.parsing.base import Context, Source
from retrieval.parsing.decoding import decode
from retrieval.parsing.pages import PageWriter
from retrieval.schema import ParsedDocument

_BULLET = re.compile(r"^\s*(?:[-*+•·‣◦–—]|\(?\d{1,3}[.)、]|\(?[a-z][.)])\s+\S")
_UNDERLINE = re.compile(r"^\s*([=\-~^#*])\1{2,}\s*$")
_NUMBERED = re.compile(
    r"^(?:第[0-9一二三四五六七八九十百]+[章节節条條部分篇][\s　：:]?.{0,40}|[一二三四五六七八九十]+、.{1,40}"
    r"|(?:chapter|section|part|article|appendix)\s+[\dIVXLA-Z]+\b.{0,80}|\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+[A-Z\u4e00-\u9fff].{0,80})$",
    re.IGNORECASE,
)


def parse(source: Source, context: Context) -> ParsedDocument:
    """The text's paragraphs; a form feed begins a page."""
    decoded = decode(source.data)
    writer = PageWriter(context.limits, flow=True)
    if decoded.damaged:
        writer.warn("Some characters of the file could not be read.")
    title: str | None = None
    first_sheet = True
    for sheet in decoded.text.replace("\r\n", "\n").replace("\r", "\n").split("\f"):
        if not writer.empty:
            writer.start()
        heading = write_text(writer, sheet, titled=first_sheet)
        first_sheet = False
        title = title or heading
    return writer.document(source.media_type, title)


def write_text(writer: PageWriter, text: str, *, titled: bool = False) -> str | None:
    """Add running text to `writer`; returns the first heading, if there is one.

    `titled` says that a short first line standing alone is a title (in a file; not in the body of a message).
    """
    first: str | None = None
    paragraph: list[str] = []

    def flush() -> None:
        if paragraph:
            for line in _unwrap(paragraph):
                writer.add("paragraph", line)
            paragraph.clear()

    rows = text.split("\n")
    begun = next((index for index, row in enumerate(rows) if row.strip()), 0)
    for index, row in enumerate(rows):
        opening = index == begun and titled
        following = rows[index + 1] if index + 1 < len(rows) else ""
        if not row.strip():
            flush()
        elif _UNDERLINE.match(row):
            continue
        elif _is_heading(row, following, alone=not paragraph) or (opening and _is_title(row, following)):
            flush()
            writer.add("heading", row, 1 if opening or "===" in following else 2)
            first = first or row
        elif _BULLET.match(row):
            flush()
            item = [row]
            writer_level = (len(row) - len(row.lstrip())) // 2
            # A continuation of the item is indented deeper than its bullet.
            indent = len(row) - len(row.lstrip())
            cursor = index + 1
            while cursor < len(rows) and _continues(rows[cursor], indent):
                item.append(rows[cursor])
                rows[cursor] = ""
                cursor += 1
            writer.add("list_item", clean.join_lines(item), min(6, writer_level))
        else:
            paragraph.append(row)
    flush()
    return first


def _continues(row: str, indent: int) -> bool:
    return bool(row.strip()) and len(row) - len(row.lstrip()) > indent and not _BULLET.match(row)


def _is_heading(row: str, following: str, *, alone: bool) -> bool:
    text = row.strip()
    if not alone or len(text) > 120:
        return False
    if _UNDERLINE.match(following) and not _UNDERLINE.match(row):
        return len(following.strip()) >= min(3, len(text))
    if text[-1] in ".。,，;；":
        return False
    if not following.strip() and _NUMBERED.match(text):
        return True
    # A line in capitals, as typewriters and terminals know headings.
    return len(text) <= 70 and text.isupper() and sum(char.isalpha() for char in text) >= 4 and not _BULLET.match(text)


def _is_title(row: str, following: str) -> bool:
    text = row.strip()
    return len(text) <= 80 and not following.strip() and text[-1] not in ".。,，;；:：" and not _BULLET.match(text)


def _unwrap(rows: list[str]) -> list[str]:
    """Lines wrapped at a fixed width become one paragraph; lines that were meant as lines stay lines."""
    longest = max(len(row.rstrip()) for row in rows)
    wide = 2 * sum(ord(char) > 0x2E80 for char in rows[0]) > len(rows[0])
    wrapped = len(rows) > 1 and longest >= (25 if wide else 55)
    if wrapped:
        full = sum(len(row.rstrip()) >= longest * 0.7 for row in rows[:-1])
        wrapped = full >= 0.7 * (len(rows) - 1)
    ends = sum(row.rstrip()[-1:] in ".!?。！？:：;；" for row in rows[:-1])
    if wrapped and ends < len(rows) - 1:
        return [clean.join_lines(rows)]
    return list(rows)
