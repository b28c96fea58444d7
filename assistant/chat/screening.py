"""Screens an answer while it streams, so that no prefix shows what the whole would not.

Knows: which constructs `guardrails.output` takes out (images, links, tags) and holds their possible beginnings back
until they are complete. Does not know markers or passages.
"""

from __future__ import annotations

import re

from assistant.guardrails import output, sanitize

from .citations import flatten

MAX_HELD = 2000
_UNFINISHED = re.compile(
    r"(?:!?\[[^\]\n]{0,500}(?:\](?:\([^)\n]{0,2000})?)?|!|<(?:[/!a-zA-Z][^<>]{0,2000})?)\Z",
)


class Screen:
    """`verbatim`: the text is quoted from documents, a whole quotation at a time; it is cleaned, not rewritten."""

    def __init__(self, *, verbatim: bool = False) -> None:
        self._verbatim = verbatim
        self._held = ""

    def feed(self, delta: str) -> str:
        """What may be shown now."""
        if self._verbatim:
            return flatten(sanitize.clean(delta).text)
        text = self._held + delta
        unfinished = _UNFINISHED.search(text)
        cut = unfinished.start() if unfinished and len(text) - unfinished.start() <= MAX_HELD else len(text)
        self._held = text[cut:]
        return output.screen(text[:cut])

    def end(self) -> str:
        """What was held back, when the stream is over."""
        text, self._held = self._held, ""
        return output.screen(text)
