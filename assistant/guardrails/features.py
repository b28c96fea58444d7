"""Turns a short text into hashed features for the small classifier of instruction-like text.

Knows: words, their beginnings and neighbours; two and three CJK characters in a row. Does not know: weights or rules.
Feature hashing after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009), unsigned, CRC-32.
"""

from __future__ import annotations

import re
from itertools import pairwise
from zlib import crc32

from .sanitize import shadow

BITS = 15
SIZE = 1 << BITS
_MASK = SIZE - 1
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[a-z]+(?:'[a-z]+)?|[0-9]+|[{_CJK}]+|[?!:#<>\[\]{{}}`*\"“”「」]")
_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")
WINDOW = 240  # characters: an instruction hides in one or two sentences of a long passage
_LONGEST = 600


def windows(text: str) -> list[str]:
    """Runs of whole sentences of about WINDOW characters, each overlapping the next by one sentence."""
    sentences: list[str] = []
    for sentence in _END.split(text):
        stripped = sentence.strip()
        sentences += [stripped[at : at + _LONGEST] for at in range(0, len(stripped), _LONGEST)]
    found: list[str] = []
    start = 0
    while start < len(sentences):
        end, length = start, 0
        while end < len(sentences) and (end == start or length + len(sentences[end]) <= WINDOW):
            length += len(sentences[end])
            end += 1
        found.append(" ".join(sentences[start:end]))
        if end >= len(sentences):
            break
        start = end - 1 if end - start > 1 else end
    return found


def features(text: str) -> set[int]:
    """Indices below SIZE of the features present."""
    tokens = _TOKEN.findall(shadow(text))
    names: list[str] = []
    words: list[str] = []
    for token in tokens:
        if token[0] >= "\u3040":
            names += [token[at : at + 2] for at in range(len(token) - 1)]
            names += [token[at : at + 3] for at in range(len(token) - 2)]
            words.append(token[:2])
        elif token[0].isdigit():
            words.append("0")
        else:
            words.append(token)
    names += words
    names += [word[:5] + "*" for word in words if len(word) > 5]
    names += [f"{before} {after}" for before, after in pairwise(["^", *words])]
    names += [f"{words[at]} {words[at + 1]} {words[at + 2]}" for at in range(len(words) - 2)]
    return {crc32(name.encode()) & _MASK for name in names}
