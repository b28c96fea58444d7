"""Edits text where `pii` found something: a name takes its place that can be turned back.

Knows: spans. Does not know: how they were found, where the table of names is kept (the caller keeps it, encrypted).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

from .pii import Span
from .sanitize import shadow

PLACEHOLDER = re.compile(r"⟨([A-Z_]{2,20})-[0-9a-f]{10}⟩")
_UNFINISHED = re.compile(r"⟨[A-Z_]{0,20}(?:-[0-9a-f]{0,10})?\Z")
_SEPARATORS = re.compile(r"[\s\-·•・()/]")


def pseudonym(value: str, type: str, *, key: bytes) -> str:
    """⟨TYPE-…⟩: the same for every way of writing the value, and for nobody without the key to guess."""
    plain = shadow(value)
    same = plain if "@" in plain else _SEPARATORS.sub("", plain)
    return f"⟨{type}-{hmac.digest(key, same.encode(), hashlib.sha256).hex()[:10]}⟩"


def coarse(text: str) -> str:
    """Pseudonyms become plain masks."""
    return PLACEHOLDER.sub(r"⟨\1⟩", text)


class Restorer:
    """Turns pseudonyms back while a text streams; what may be the beginning of one is held until it is complete."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._held = ""

    def feed(self, delta: str) -> str:
        text = self._held + delta
        unfinished = _UNFINISHED.search(text)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return restore(text[:cut], self._table)

    def end(self) -> str:
        text, self._held = self._held, ""
        return text


def pseudonymise(text: str, spans: Iterable[Span], *, key: bytes) -> tuple[str, dict[str, str]]:
    """Each value becomes ⟨TYPE-…⟩, the same for the same value and key; with the table that turns it back."""
    table: dict[str, str] = {}

    def name(span: Span) -> str:
        value = text[span.start : span.end]
        placeholder = pseudonym(value, span.type, key=key)
        table.setdefault(placeholder, value)
        return placeholder

    return _replace(text, [(span, name(span)) for span in spans]), table


def restore(text: str, table: Mapping[str, str]) -> str:
    """The inverse of `pseudonymise`, also for text that only quotes some of the names; unknown names stay."""
    return PLACEHOLDER.sub(lambda match: table.get(match[0], match[0]), text)


def _replace(text: str, edits: Iterable[tuple[Span, str]]) -> str:
    parts, position = [], 0
    for span, replacement in sorted(edits, key=lambda edit: edit[0].start):
        parts += [text[position : span.start], replacement]
        position = span.end
    return "".join([*parts, text[position:]])
