"""What every parser is given and what it must be: `Source`, `Context` and the `Parser` protocol.

Knows no format. A parser is a module with a function `parse` of the protocol's shape; `registry` names the
module for each media type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from retrieval.errors import LimitExceeded
from retrieval.parsing.limits import Limits
from retrieval.schema import ParsedDocument


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one file, the name it came with (a hint, never trusted) and its sniffed media type."""

    data: bytes
    filename: str
    media_type: str


def no_progress(done: int, total: int | None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Context:
    """Settings read once by the caller. `progress` takes pages done and, where known, pages in all."""

    limits: Limits
    progress: Callable[[int, int | None], None] = no_progress
    depth: int = 0

    def nested(self) -> Context:
        """The context for a file found inside the current one; raises `LimitExceeded("depth")`."""
        if self.depth + 1 > self.limits.depth:
            raise LimitExceeded(f"files nested more than {self.limits.depth} deep", what="depth")
        return replace(self, depth=self.depth + 1, progress=no_progress)


class Parser(Protocol):
    """Bytes in, pages out; raises the `ParseError` tree for everything that is the file's fault."""

    def __call__(self, source: Source, context: Context) -> ParsedDocument: ...
