"""In which order names stand in a list: the same on every database, as people expect it and not as bytes fall.

Capitals and accents do not matter ("handbook" before "HR", "Öl" beside "Ol"), numbers count as numbers ("Part 2" before
"Part 10"), and Chinese follows Latin in the order of GB/T 2312: by pinyin for its 3,755 common characters, by radical
for the others. A character with two readings stands at the one that the standard chose.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Key = tuple[tuple[bytes | tuple[int, str], ...], str]

_NUMBER = re.compile(r"([0-9]+)")


def key(text: str) -> Key:
    """What to compare instead of the text; the text itself decides between those that are alike."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    parts = _NUMBER.split(letters)  # words at the even places, digits at the odd ones: like is compared with like
    return tuple(_number(part) if odd % 2 else _words(part) for odd, part in enumerate(parts)), text


def ordered(items: Iterable[Item], name: Callable[[Item], Any] = str) -> list[Item]:
    """The items by name; those of one name stay in the order given."""
    return sorted(items, key=lambda item: key(str(name(item))))


def _words(text: str) -> bytes:
    return text.encode("gb18030", "replace")


def _number(digits: str) -> tuple[int, str]:
    """Longer is larger; of any length, which `int` is not."""
    plain = digits.lstrip("0")
    return len(plain), plain
