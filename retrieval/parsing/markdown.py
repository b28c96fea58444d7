"""Markdown to blocks: headings, paragraphs, lists, tables and code, without the marks.

Knows CommonMark with tables as markdown-it-py reads it; YAML front matter gives a title and is left out. Raw
HTML passes through the HTML reader, so that hidden text is treated alike.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from retrieval.errors import CorruptDocument, EmptyDocument
from retrieval.parsing.base import Context, Source
from retrieval.parsing.decoding import decode
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import row_lines
from retrieval.schema import ParsedDocument

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE | re.IGNORECASE)
_ATTRIBUTES = re.compile(r"\s*\{#[\w-]+\}\s*$")


def parse(source: Source, context: Context) -> ParsedDocument:
    """The document's blocks, divided into pages at headings."""
    text = decode(source.data).text
    title: str | None = None
    if front := _FRONT.match(text):
        match = _TITLE.search(front[1])
        title = match[1] if match else None
        text = text[front.end() :]
    writer = PageWriter(context.limits, flow=True)
    tokens = MarkdownIt("commonmark", {"maxNesting": 40}).enable(["table", "strikethrough"]).parse(text)
    heading = _Writer(writer).write(tokens)
    return writer.document(source.media_type, title or heading)


class _Writer:
    """Turns the flat token stream into blocks."""

    def __init__(self, writer: PageWriter) -> None:
        self._writer = writer
        self._lists: list[int | None] = []
        self._marker: str | None = None
        self._rows: list[list[str]] | None = None
        self._first: str | None = None

    def write(self, tokens: list[Token]) -> str | None:
        """Write everything; returns the first heading."""
        heading = 0
        for token in tokens:
            kind = token.type
            if kind == "heading_open":
                heading = int(token.tag[1])
            elif kind == "heading_close":
                heading = 0
            elif kind in ("bullet_list_open", "ordered_list_open"):
                start = token.attrGet("start")
                self._lists.append((int(start) if start is not None else 1) if kind[0] == "o" else None)
            elif kind in ("bullet_list_close", "ordered_list_close"):
                self._lists.pop()
            elif kind == "list_item_open":
                self._marker = self._next_marker()
            elif kind in ("fence", "code_block"):
                self._writer.add("code", token.content)
            elif kind == "html_block":
                self._html(token.content)
            elif kind == "inline":
                self._inline(token, heading)
            else:
                self._table(kind)
        return self._first

    def _next_marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return ""
        self._lists[-1] = number + 1
        return f"{number}. "

    def _inline(self, token: Token, heading: int) -> None:
        text = inline_text(token)
        if self._rows is not None:
            self._rows[-1].append(text)
        elif heading:
            text = _ATTRIBUTES.sub("", text)
            self._first = self._first or text
            self._writer.add("heading", text, heading)
        elif self._marker is not None:
            self._writer.add("list_item", self._marker + text, min(6, max(0, len(self._lists) - 1)))
            self._marker = None
        else:
            self._writer.add("paragraph", text)

    def _table(self, kind: str) -> None:
        if kind == "table_open":
            self._rows = []
        elif kind == "tr_open" and self._rows is not None:
            self._rows.append([])
        elif kind == "table_close" and self._rows is not None:
            for line in row_lines(self._rows, header=True):
                self._writer.add("table_row", line)
            self._rows = None

    def _html(self, markup: str) -> None:
        from retrieval.parsing.html import write_html

        try:
            write_html(self._writer, markup)
        except (CorruptDocument, EmptyDocument):
            return


def inline_text(token: Token) -> str:
    """The text of an inline token: emphasis, links and images reduced to their words."""
    parts: list[str] = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif child.type == "image":
            parts.append(child.content)
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            parts.append(" ")
    return "".join(parts)
