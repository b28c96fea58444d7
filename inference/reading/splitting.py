"""A plain sentence splitter for training and evaluation, where no caller hands in spans.

The product splits with its own, more careful rules and passes spans in ``Passage.sentences``; nothing that
answers a question may call this module.
"""

from __future__ import annotations

import re

_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|[。！？；]+[」』”’）]*|\n+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|[A-Z](?:\.[A-Z])+|[a-z](?:\.[a-z])+|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Inc|Ltd|Co|Corp|vs|No|Nos|Fig|Figs|"
    r"Vol|al|approx|Gen|Col|Lt|Capt|Sgt|Rev|Hon|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|etc|cf|pp|ca|c|Mt|Ft)\.$"
)


def split(text: str) -> tuple[tuple[int, int], ...]:
    """Spans of the sentences of ``text``: English and Chinese full stops, and line breaks."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if match[0][0] == "." and (
            _ABBREVIATION.search(text[max(0, start) : match.start() + 1][-12:]) or text[end:].lstrip()[:1].islower()
        ):
            continue
        _add(spans, text, start, end)
        start = end
    _add(spans, text, start, len(text))
    return tuple(spans)


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
    if left < right:
        spans.append((start + left, start + right))
