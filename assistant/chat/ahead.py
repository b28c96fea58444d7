"""An engine that has begun before it is known whether it may speak.

A language model reads its prompt while the evidence is still being read: the two do not wait for each other. What it
says is held back until somebody takes it, and when nobody will, it stops at its next step. Knows threads and streams,
not evidence, prompts or rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from inference.engines.base import Delta, Engine, Finish, GenerationRequest

_Piece = Delta | Finish


class Ahead:
    """`engine.stream(request)`, begun at once in a thread of its own; as a context, it is left at the end.

    Iterating waits for the first piece and goes on in the caller's thread; an error of the engine is raised there.
    """

    def __init__(self, engine: Engine, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> None:
        self._left = threading.Event()
        self._pieces = engine.stream(request, cancelled=lambda: self._left.is_set() or cancelled())
        self._first: Future[_Piece | None] = Future()  # whoever ends its waiting has the stream from there on
        self._begun = self._came = self._taken = time.monotonic()
        threading.Thread(target=self._begin, name=f"ahead {engine.name}", daemon=True).start()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing more is wanted: the engine stops at its next step. Nobody waits for that."""
        self._left.set()
        if not self._first.cancel():
            self._close()

    @property
    def first_ms(self) -> int:
        """Milliseconds until the engine had its first piece; of use once that was taken."""
        return round((self._came - self._begun) * 1000)

    @property
    def held_ms(self) -> int:
        """Milliseconds for which that piece waited to be taken."""
        return round((self._taken - self._came) * 1000)

    def __iter__(self) -> Iterator[_Piece]:
        first = self._first.result()
        self._taken = time.monotonic()
        if first is not None:
            yield first
            yield from self._pieces

    def _begin(self) -> None:
        error: BaseException | None = None
        first: _Piece | None = None
        try:
            first = next(self._pieces, None)
        except BaseException as caught:
            error = caught
        self._came = time.monotonic()
        if not self._first.set_running_or_notify_cancel():
            self._close()
        elif error is not None:
            self._first.set_exception(error)
        else:
            self._first.set_result(first)

    def _close(self) -> None:
        close = getattr(self._pieces, "close", None)  # an iterator of the protocol need not be a generator
        if close is not None:
            close()
