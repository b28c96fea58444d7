"""Gathers blocks into pages: offsets right, sizes bounded, limits kept.

Knows nothing of formats. A parser calls `start` where its format has a page, `add` for each block in reading
order and `document` at the end. With `flow=True` the format has no pages: then pages are divided at headings,
and labelled with them, so that "page 3" names a place a person can find.
"""

from __future__ import annotations

import re

from retrieval.errors import EmptyDocument, LimitExceeded
from retrieval.parsing import clean
from retrieval.parsing.limits import Limits
from retrieval.schema import Block, BlockKind, HiddenText, ParsedDocument, ParsedPage, TextBox

_HIDDEN_SHOWN = 500
_HIDDEN_ENTRIES = 500
_PAPER = 4
_SENTENCE_END = re.compile(r"(?<=[.!?。！？；;])\s*|\n")


class PageWriter:
    """Collects one document's pages. Not thread-safe; used once."""

    def __init__(self, limits: Limits, *, flow: bool = False, capacity: int = _PAPER) -> None:
        """`capacity`: how many times `page_characters` a page of the format's own may hold before it is divided."""
        self._limits = limits
        self._capacity = limits.page_characters * (1 if flow else capacity)
        self._flow = flow
        self._pages: list[ParsedPage] = []
        self._text: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._open = False
        self._label: str | None = None
        self._heading: str | None = None
        self._characters = 0
        self._warnings: list[str] = []
        self._hidden: list[HiddenText] = []

    @property
    def number(self) -> int:
        """The number of the page being written (of the next one when none is open)."""
        return len(self._pages) + 1

    @property
    def empty(self) -> bool:
        """Whether the open page has no text yet."""
        return not self._blocks

    @property
    def characters(self) -> int:
        """How much text has been written so far."""
        return self._characters

    def start(self, label: str | None = None) -> None:
        """Begin a page, even if the one before is empty; `label` is the sheet, the slide title, the section."""
        if self._open:
            self._close()
        self._open = True
        self._label = clean.one_line(label)[:200] or None if label else None

    def add(self, kind: BlockKind, text: str, level: int = 0) -> None:
        """Append one block, cleaned; text without a visible character is skipped."""
        if secret := clean.smuggled(text):
            self.hide(secret, "invisible characters")
        text = clean.lines(text) if kind == "code" else clean.one_line(text)
        if not text:
            return
        if kind == "heading" and self._flow:
            if self._length > self._limits.page_characters * 3 // 4:
                self._close()
            self._heading = text[:200]
        for piece in self._pieces(text):
            self._append(kind, piece, level)

    def hide(self, text: str, reason: str) -> None:
        """Report text that a reader cannot see. The report is bounded; the index never has it."""
        self.hide_on(self.number, text, reason)

    def hide_on(self, page: int, text: str, reason: str) -> None:
        """The same for a page that is not the open one."""
        text = clean.one_line(text)[:_HIDDEN_SHOWN]
        if text and len(self._hidden) < _HIDDEN_ENTRIES:
            self._hidden.append(HiddenText(page=page, text=text, reason=reason))

    def warn(self, sentence: str) -> None:
        """Note, once, a short sentence for the curator."""
        if sentence not in self._warnings:
            self._warnings.append(sentence)

    def append_pages(self, document: ParsedDocument, label: str) -> None:
        """Take over the pages of a file inside this one (an attachment), under `label`."""
        if self._open or self._blocks:
            self._close()
        base = len(self._pages)
        for page in document.pages:
            self._count(len(page.text))
            place = f"{label} · {page.label}" if page.label and page.label != label else label
            number = base + page.number
            self._pages.append(ParsedPage(number, page.text, page.blocks, place[:200], page.ocr, page.layout))
        self._hidden.extend(HiddenText(base + entry.page, entry.text, entry.reason) for entry in document.hidden_text)
        for warning in document.warnings:
            self.warn(f"{label}: {warning}")

    def finished_page(
        self,
        text: str,
        blocks: tuple[Block, ...],
        *,
        label: str | None,
        ocr: bool,
        layout: tuple[TextBox, ...],
    ) -> None:
        """Append a page that its parser composed itself (PDF, pictures)."""
        self._count(len(text))
        self._pages.append(ParsedPage(self.number, text, blocks, label, ocr, layout))

    def document(self, media_type: str, title: str | None) -> ParsedDocument:
        """Close the last page and return everything; raises `EmptyDocument` when no page has text."""
        if self._open or self._blocks:
            self._close()
        title = clean.one_line(title)[:300] or None if title else None
        if not any(page.text for page in self._pages):
            found = "only text that a reader cannot see" if self._hidden else "no text"
            raise EmptyDocument(f"the document has {found}")
        return ParsedDocument(media_type, title, tuple(self._pages), tuple(self._warnings), tuple(self._hidden))

    def _pieces(self, text: str) -> list[str]:
        """A block longer than a page, divided at sentence ends, else at blanks, else anywhere."""
        size = self._limits.page_characters
        if len(text) <= size:
            return [text]
        pieces: list[str] = []
        start = 0
        while len(text) - start > size:
            window = text[start : start + size]
            cut = max((m.end() for m in _SENTENCE_END.finditer(window, size // 2)), default=0)
            cut = cut or window.rfind(" ", size // 2) + 1 or size
            pieces.append(text[start : start + cut].strip())
            start += cut
        pieces.append(text[start:].strip())
        return [piece for piece in pieces if piece]

    def _append(self, kind: BlockKind, text: str, level: int) -> None:
        if self._blocks and self._length + 1 + len(text) > self._capacity:
            label = self._label
            self._close()
            self._label = label
        self._open = True
        if self._flow and self._label is None and self._heading is not None:
            self._label = self._heading
        start = self._length + 1 if self._blocks else 0
        self._text.append(text)
        self._length = start + len(text)
        self._blocks.append(Block(kind, level, start, self._length))
        self._count(len(text))

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > self._limits.characters:
            raise LimitExceeded(f"more than {self._limits.characters} characters of text", what="characters")
        if len(self._pages) >= self._limits.pages:
            raise LimitExceeded(f"more than {self._limits.pages} pages", what="pages")

    def _close(self) -> None:
        self._count(0)
        page = ParsedPage(self.number, "\n".join(self._text), tuple(self._blocks), self._label)
        self._pages.append(page)
        self._text, self._blocks, self._length = [], [], 0
        self._open, self._label = False, None
