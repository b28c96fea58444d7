"""Cut a parsed document into passages that fit the embedding model and can be cited exactly.

Knows pages, blocks, sentences and a token budget. Does not know which model counts the tokens, nor titles'
rights, indexes or databases.

A passage is a stretch of one page: `chunk.text == page.text[char_start:char_end]`. It never crosses a page
or a heading, keeps table rows and, where it can, sentences whole, and repeats the last sentence of the one
before it when a section had to be cut (the fact asked for may stand on the seam). What the passage cannot say
about itself, the headings above it and the header row of its table, travels in `headings`; `passage_text`
joins all of it into what is embedded and indexed. Sections are cut evenly rather than into full passages
and a remainder: short remainders rank badly on both legs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from retrieval.schema import Block, Chunk, ParsedDocument, ParsedPage
from retrieval.text import sentences

CountTokens = Callable[[Sequence[str]], list[int]]

_LONGEST_HEADING = 200  # characters; a longer "heading" is a paragraph in large type
_CLAUSE = re.compile(r"[,;:，；：、]\s*|\s+")


@dataclass(frozen=True, slots=True)
class ChunkingOptions:
    """Sizes in tokens of the embedding model.

    `max_tokens` bounds passage, title and headings together; `target_tokens` bounds the passage
    alone: MiniLM was trained on 128 tokens, and short passages make short citations. A sentence of
    at most `overlap_tokens` is repeated across a cut; 0 repeats nothing.
    """

    max_tokens: int = 254
    target_tokens: int = 180
    overlap_tokens: int = 48

    def __post_init__(self) -> None:
        if not 16 <= self.target_tokens <= self.max_tokens:
            raise ValueError("target_tokens lies between 16 and max_tokens")
        if not 0 <= self.overlap_tokens < self.target_tokens // 2:
            raise ValueError("overlap_tokens lies between 0 and half of target_tokens")


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not cut further: a sentence, a table row, a line of code, a heading. Offsets into the page."""

    start: int
    end: int
    tokens: int
    prose: bool = False  # may be repeated as overlap
    heading: bool = False


@dataclass(slots=True)
class _Section:
    """Units of one page under one heading, or one table.

    `above` are the headings over its first unit; `path` those over the rest, its own opening headings and a
    table's header row among them.
    """

    above: tuple[str, ...]
    path: tuple[str, ...]
    units: list[_Unit]

    @classmethod
    def under(cls, path: Sequence[tuple[int, str]]) -> _Section:
        """An empty section below the open headings."""
        return cls(_texts(path), _texts(path), [])


def passage_text(title: str | None, headings: Sequence[str], text: str) -> str:
    """What is embedded and indexed for a passage: title, headings and text, a line each, none twice."""
    lines: list[str] = []
    for line in (title or "", *headings, text):
        if line and (not lines or line != lines[-1]):
            lines.append(line)
    return "\n".join(lines)


def chunk_document(
    document: ParsedDocument, *, count_tokens: CountTokens, options: ChunkingOptions | None = None
) -> list[Chunk]:
    """The passages of a document in reading order, `ordinal` counting from 0 without gaps."""
    options = options or ChunkingOptions()
    cutter = _Cutter(document.title, count_tokens, options)
    chunks: list[Chunk] = []
    path: list[tuple[int, str]] = []
    for page in document.pages:
        for section in _sections(page, path, cutter):
            headings = section.above
            for start, end in cutter.cut(section):
                chunks.append(Chunk(len(chunks), page.number, headings, start, end, page.text[start:end]))
                headings = section.path
    return chunks


def _sections(page: ParsedPage, path: list[tuple[int, str]], cutter: _Cutter) -> Iterator[_Section]:
    """Sections of one page. `path` is the stack of open headings, (level, text); it lives across pages."""
    section = _Section.under(path)
    table_header: str | None = None
    for block in _covering_blocks(page):
        text = page.text[block.char_start : block.char_end].strip()
        is_heading = block.kind == "heading" and len(text) <= _LONGEST_HEADING
        starts_table = block.kind == "table_row" and table_header is None
        if table_header is not None and block.kind != "table_row":
            yield from cutter.split_table(section, table_header)
            table_header = None
            section = _Section.under(path)
        elif (is_heading or starts_table) and any(not unit.heading for unit in section.units):
            yield section
            section = _Section.under(path)
        if is_heading:
            while path and path[-1][0] >= block.level:
                path.pop()
            if not section.units:
                section.above = _texts(path)  # the heading itself opens the passage's own text
            path.append((block.level, " ".join(text.split())))
            section.path = _texts(path)
        elif starts_table:
            table_header = " ".join(text.split())[:_LONGEST_HEADING]
        section.units.extend(cutter.units(page.text, block, is_heading))
    if table_header is not None:
        yield from cutter.split_table(section, table_header)
    elif section.units:
        yield section


def _texts(path: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(text for _, text in path)


def _covering_blocks(page: ParsedPage) -> Iterator[Block]:
    """The page's blocks in order, overlaps cut away, and what no block covers as paragraphs."""
    position = 0
    for block in sorted(page.blocks, key=lambda item: (item.char_start, item.char_end)):
        if block.char_end <= position:
            continue
        start = max(position, block.char_start)
        if page.text[position:start].strip():
            yield Block("paragraph", 0, position, start)
        yield Block(block.kind, block.level, start, block.char_end)
        position = block.char_end
    if page.text[position:].strip():
        yield Block("paragraph", 0, position, len(page.text))


class _Cutter:
    """Turns blocks into units and sections into spans, within the token budget."""

    def __init__(self, title: str | None, count_tokens: CountTokens, options: ChunkingOptions) -> None:
        self._count = count_tokens
        self._options = options
        self._title = title or ""

    def units(self, text: str, block: Block, is_heading: bool) -> list[_Unit]:
        """The units of a block; none is longer than the target."""
        spans = list(self._spans(text, block, is_heading))
        counts = self._count([text[start:end] for start, end in spans]) if spans else []
        units: list[_Unit] = []
        prose = block.kind in ("paragraph", "list_item")
        for (start, end), tokens in zip(spans, counts, strict=True):
            if tokens <= self._options.target_tokens:
                units.append(_Unit(start, end, tokens, prose, is_heading))
            else:
                units.extend(self._pieces(text, start, end))
        return units

    def split_table(self, section: _Section, header: str) -> Iterator[_Section]:
        """A table as one section, or its rows after the first passage with the header row as a heading."""
        first, *rest = self.cut(section)
        if not rest:
            yield section
            return
        yield _Section(section.above, section.path, [unit for unit in section.units if unit.end <= first[1]])
        path = (*section.path, header)
        yield _Section(path, path, [unit for unit in section.units if unit.start >= first[1]])

    def cut(self, section: _Section) -> list[tuple[int, int]]:
        """Spans that cover the section's units in order, each within the budget."""
        place = passage_text(self._title, section.path, "")
        room = self._options.max_tokens - (self._count([place])[0] if place else 0)
        # A very long path must not starve the passage; the model then cuts the end of the last sentence.
        limit = max(min(self._options.target_tokens, room), self._options.target_tokens // 2)
        total = sum(unit.tokens for unit in section.units)
        aim = total / max(1, -(-total // limit))
        spans: list[tuple[int, int]] = []
        taken: list[_Unit] = []
        size = 0
        for unit in section.units:
            full = size + unit.tokens > limit or size >= aim
            if taken and full and not all(item.heading for item in taken):
                spans.append((taken[0].start, taken[-1].end))
                last = taken[-1]
                repeat = last.prose and last.tokens <= self._options.overlap_tokens and len(taken) > 1
                fits = last.tokens + unit.tokens <= limit
                taken, size = ([last], last.tokens) if repeat and fits else ([], 0)
            taken.append(unit)
            size += unit.tokens
        if taken:
            spans.append((taken[0].start, taken[-1].end))
        return spans

    @staticmethod
    def _spans(text: str, block: Block, is_heading: bool) -> Iterator[tuple[int, int]]:
        inside = text[block.char_start : block.char_end]
        if is_heading or block.kind == "table_row":
            start = block.char_start + len(inside) - len(inside.lstrip())
            end = block.char_start + len(inside.rstrip())
            if start < end:
                yield start, end
        elif block.kind == "code":
            for line in re.finditer(r"[^\n]*\S", inside):
                yield block.char_start + line.start(), block.char_start + line.end()
        else:
            for start, end in sentences(inside):
                yield block.char_start + start, block.char_start + end

    def _pieces(self, text: str, start: int, end: int) -> Iterator[_Unit]:
        """Cut a stretch that is longer than the target at clauses, else words, else anywhere."""
        limit = self._options.target_tokens
        while start < end:
            stop = self._longest(text, start, end, limit)
            if stop < end:
                cuts = [match.end() for match in _CLAUSE.finditer(text, start, stop)]
                marks = [cut for cut in cuts if text[cut - 1] != " " or text[cut - 2 : cut - 1] in ",;:"]
                late = [cut for cut in marks if cut - start > (stop - start) // 2]
                stop = (late or cuts or [stop])[-1]
            piece = text[start:stop]
            tight = start + len(piece.rstrip())
            if tight > start:
                yield _Unit(start, tight, self._count([text[start:tight]])[0])
            start = stop
            while start < end and text[start].isspace():
                start += 1

    def _longest(self, text: str, start: int, end: int, limit: int) -> int:
        """The furthest offset such that `text[start:offset]` has at most `limit` tokens; never empty."""
        low, high = start + 1, min(end, start + limit * 24)
        while low < high:
            middle = (low + high + 1) // 2
            if self._count([text[start:middle]])[0] <= limit:
                low = middle
            else:
                high = middle - 1
        return low
