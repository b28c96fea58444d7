"""Shorthands of the parsing tests: bytes in, document out, through the real sandboxed process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from retrieval.parsing import Limits, parse_file
from retrieval.schema import ParsedDocument

TEST_LIMITS = Limits(seconds=60, cpu_seconds=60)


def parse(data: bytes, filename: str, limits: Limits = TEST_LIMITS) -> ParsedDocument:
    """Parse `data` as an upload called `filename`."""
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        return parse_file(Path(stream.name), limits=limits, filename=filename)


def texts(document: ParsedDocument) -> list[tuple[str, str]]:
    """Kind and text of every block, page after page."""
    return [
        (block.kind, page.text[block.char_start : block.char_end]) for page in document.pages for block in page.blocks
    ]
