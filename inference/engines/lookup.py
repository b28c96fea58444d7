"""Guessing the next tokens by copying: answers that quote repeat runs of their prompt.

Source: prompt lookup decoding (Saxena 2023). Knows token ids only; whether a guess is right is the model's to say, so
the text is the same with or without it.
"""

from __future__ import annotations

_LONG, _SHORT = 3, 2  # tokens that must match before what followed them is guessed
MOST = 10


class Lookup:
    """The sequence so far, findable by its last tokens. How much is guessed follows how well it went."""

    def __init__(self, ids: list[int]) -> None:
        self._ids: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}  # the run of tokens -> where what followed it begins
        self._size = MOST
        self.extend(ids)

    def extend(self, ids: list[int]) -> None:
        for token in ids:
            # a run becomes findable when its successor is known
            at = len(self._ids)
            for length in (_LONG, _SHORT):
                if at >= length:
                    self._after[tuple(self._ids[at - length :])] = at
            self._ids.append(token)

    def guess(self, limit: int) -> list[int]:
        """At most `limit` tokens that may come next; empty when the last tokens stand nowhere before."""
        for length in (_LONG, _SHORT):
            at = self._after.get(tuple(self._ids[-length:]))
            if at is not None:
                return self._ids[at : at + min(limit, self._size)]
        return []

    def told(self, guessed: int, right: int) -> None:
        """How many of the guessed tokens were right: a wrong guess makes the next ones shorter."""
        if guessed:
            self._size = min(MOST, max(right * 2, 2))
