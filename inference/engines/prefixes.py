"""Beginnings of prompts that were read before, kept so that they need not be read again.

Every entry belongs to a key that the caller chose, and only requests with the same key find it: the caller puts into it
whoever may know of each other's prompts (one person, or people with exactly the same access). Knows token ids and
tensors. Does not know people.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SHORTEST = 16  # tokens: less is read again faster than it is copied
SECONDS = 900.0
PER_KEY = 2


@dataclass(slots=True)
class _Entry:
    ids: list[int]
    kept: torch.Tensor
    until: float


class Prefixes:
    """Least recently used entries leave first; `limit` is bytes of all tensors. Not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, list[_Entry]] = OrderedDict()

    @property
    def bytes(self) -> int:
        return sum(entry.kept.nbytes for entries in self._entries.values() for entry in entries)

    def find(self, key: str, ids: list[int]) -> tuple[torch.Tensor, int] | None:
        """The entry of `key` that shares the longest beginning with `ids`, and how many tokens; never all of `ids`, for
        the last token must be run to know what follows."""
        self.expire()
        if not key or key not in self._entries:
            return None
        shared, best = max(
            ((_shared(entry.ids, ids[:-1]), entry) for entry in self._entries[key]), key=lambda pair: pair[0]
        )
        if shared < SHORTEST:
            return None
        self._entries.move_to_end(key)
        best.until = time.monotonic() + SECONDS
        return best.kept, shared

    def keep(self, key: str, ids: list[int], kept: torch.Tensor) -> None:
        """Remember `kept`, the cache of `ids`; it replaces an entry that it continues."""
        if not key or len(ids) < SHORTEST or kept.nbytes > self._limit:
            return
        entries = [e for e in self._entries.pop(key, []) if _shared(e.ids, ids) < len(e.ids)]
        entries.append(_Entry(list(ids), kept, time.monotonic() + SECONDS))
        self._entries[key] = entries[-PER_KEY:]
        while self.bytes > self._limit:
            oldest = next(iter(self._entries))
            self._entries[oldest].pop(0)
            if not self._entries[oldest]:
                del self._entries[oldest]

    def clear(self) -> None:
        self._entries.clear()

    def expire(self) -> None:
        """Let go of what was not used for SECONDS."""
        now = time.monotonic()
        for key in list(self._entries):
            self._entries[key] = [entry for entry in self._entries[key] if entry.until > now]
            if not self._entries[key]:
                del self._entries[key]


def _shared(a: list[int], b: list[int]) -> int:
    """Length of the common beginning."""
    count = min(len(a), len(b))
    if a[:count] == b[:count]:
        return count
    return next(i for i in range(count) if a[i] != b[i])
