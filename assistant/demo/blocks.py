"""The small markup in which the demo documents are written, parsed into blocks.

Source files are Markdown with a YAML head. Only what the documents use is understood: `#` to `###` headings,
paragraphs, `-` and `1.` lists, pipe tables, `---` for a page break, and **bold** within a line. The file formats that
the blocks end up in are not this file's business.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class ListBlock:
    items: tuple[str, ...]
    ordered: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first row is the header."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PageBreak:
    pass


Block = Heading | Paragraph | ListBlock | Table | PageBreak


@dataclass(frozen=True, slots=True)
class Source:
    """One source file: its YAML head, its text as written, and the text as blocks."""

    meta: dict[str, Any]
    text: str
    blocks: tuple[Block, ...]


_BULLET = re.compile(r"- +(.*)")
_NUMBER = re.compile(r"\d+\. +(.*)")
_HEADING = re.compile(r"(#{1,3}) +(.*)")
BOLD = re.compile(r"\*\*(.+?)\*\*")
_CJK = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")


def plain(text: str) -> str:
    """The text of a line without its bold marks."""
    return BOLD.sub(r"\1", text)


def join_lines(lines: list[str]) -> str:
    """Join wrapped source lines: with a space, but without one between Chinese characters."""
    joined = ""
    for line in (line.strip() for line in lines):
        glue = not joined or (_CJK.match(joined[-1]) and _CJK.match(line))
        joined += line if glue else " " + line
    return joined


def load_source(path: Path) -> Source:
    """Read one source file. Raises ValueError when the YAML head is missing."""
    raw = path.read_text(encoding="utf-8")
    if not raw.startswith("---\n"):
        raise ValueError(f"{path.name} has no YAML head")
    head, text = raw[4:].split("\n---\n", 1)
    return Source(meta=yaml.safe_load(head), text=text.strip() + "\n", blocks=parse_blocks(text))


def parse_blocks(text: str) -> tuple[Block, ...]:
    """Parse the markup; groups of lines are separated by blank lines."""
    blocks: list[Block] = []
    for group in re.split(r"\n\s*\n", text.strip()):
        lines = group.splitlines()
        while lines and (match := _HEADING.fullmatch(lines[0])):
            blocks.append(Heading(len(match[1]), match[2]))
            lines = lines[1:]
        if lines:
            blocks.append(_parse_group(lines))
    return tuple(blocks)


def _parse_group(lines: list[str]) -> Block:
    if lines == ["---"]:
        return PageBreak()
    if lines[0].startswith("|"):
        rows = [tuple(cell.strip() for cell in line.strip().strip("|").split("|")) for line in lines]
        return Table(tuple(row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)))
    for pattern, ordered in ((_BULLET, False), (_NUMBER, True)):
        if pattern.match(lines[0]):
            items: list[list[str]] = []
            for line in lines:
                if match := pattern.match(line):
                    items.append([match[1]])
                else:
                    items[-1].append(line)
            return ListBlock(tuple(join_lines(item) for item in items), ordered)
    return Paragraph(join_lines(lines))
