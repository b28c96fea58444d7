"""The values that travel through the library: parsed pages, chunks, index records and hits.

Knows the shape of each value and refuses the impossible ones when they are built. Does not know how a
value is made (`parsing`, `chunking`, `embedding`) nor where it is kept. Nothing heavier than numpy is named
here, so every process may import this module.

Offsets are Python string indices (code points) into the text they belong to, half open: `text[start:end]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BlockKind = Literal["heading", "paragraph", "list_item", "table_row", "code", "caption"]


@dataclass(frozen=True, slots=True)
class Block:
    """One structural unit of a page; `level` is 1 to 6 for headings and the nesting depth for list items."""

    kind: BlockKind
    level: int
    char_start: int
    char_end: int

    def __post_init__(self) -> None:
        if not 0 <= self.char_start <= self.char_end:
            raise ValueError(f"block offsets out of order: {self.char_start}, {self.char_end}")


@dataclass(frozen=True, slots=True)
class TextBox:
    """Where a run of recognised text stands on its page: fractions 0..1 of the page, origin top left."""

    char_start: int
    char_end: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """One page, slide or sheet. `number` is 1-based; `blocks` are offsets into `text`, in reading order.

    `label` is the printed page label or the sheet's name. `layout` is filled for OCR pages only.
    """

    number: int
    text: str
    blocks: tuple[Block, ...] = ()
    label: str | None = None
    ocr: bool = False
    layout: tuple[TextBox, ...] = ()

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"page numbers start at 1, not {self.number}")
        if self.blocks and max(block.char_end for block in self.blocks) > len(self.text):
            raise ValueError(f"a block ends behind the text of page {self.number}")


@dataclass(frozen=True, slots=True)
class HiddenText:
    """Text that a reader of the page cannot see: listed for the curator, never indexed."""

    page: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser found in one file. `warnings` are short sentences meant for the curator."""

    media_type: str
    title: str | None
    pages: tuple[ParsedPage, ...]
    warnings: tuple[str, ...] = ()
    hidden_text: tuple[HiddenText, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one page: `text == page.text[char_start:char_end]`, so that a citation is exact."""

    ordinal: int
    page: int
    headings: tuple[str, ...]
    char_start: int
    char_end: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class IndexRecord:
    """One searchable chunk. `text` is what BM25 indexes: title, headings and chunk, joined by newlines.

    `partition` is the scope that decides who may read it; `vector` is float16 of shape (dimension,), unit
    length before rounding.
    """

    chunk_id: int
    document_id: str
    partition: int
    ordinal: int
    text: str
    vector: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result: the fused `score` and what each leg contributed (`dense` cosine, `lexical` BM25)."""

    chunk_id: int
    document_id: str
    score: float
    dense: float
    lexical: float
