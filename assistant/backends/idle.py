"""Database connections that nobody uses at the moment, kept for whoever needs one next in this process.

Knows: how a connection was opened, and since when nobody uses it; the one word by which Django's wrappers of databases
let go of one. Does not know: which database it is, or what was done with a connection.

Requests, searches and tasks run on threads that come and go, and each has a connection of its own. To open one costs
more than the queries of a request: SQLite reads the whole schema first, and whoever closes the last one copies the
write-ahead log into the database and deletes it; PostgreSQL starts a process, asks for the password, and begins with
empty caches. A connection is lent to one user at a time, and taken back only when nothing is under way on it. None
crosses a fork: SQLite forbids it, and two processes on one line to PostgreSQL would read each other's rows.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

MOST = 16  # for bursts; what comes back beyond that is closed


class Closable(Protocol):
    def close(self) -> None: ...


Connection = TypeVar("Connection", bound=Closable)


class Key(NamedTuple):
    """How a connection was opened, and which thing of that name it leads to: one put in its place is another."""

    how: str
    which: tuple[int, ...] = ()


class _Kept(NamedTuple, Generic[Connection]):
    key: Key
    since: float  # `time.monotonic`, when it was given back
    connection: Connection


class Idle(Generic[Connection]):
    """Open connections, the one used last first; safe between threads.

    `at_rest` is asked before one is kept: is nothing under way on it? `answers` before it is lent: is it still good?
    One that lay idle for `seconds` is closed when the next one comes or goes.
    """

    def __init__(
        self,
        at_rest: Callable[[Connection], bool],
        *,
        answers: Callable[[Connection], bool] = lambda _: True,
        most: int = MOST,
        seconds: float = float("inf"),
    ) -> None:
        self._at_rest = at_rest
        self._answers = answers
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: list[_Kept[Connection]] = []
        os.register_at_fork(before=self.close)
        atexit.register(self.close)

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, wanted: Key) -> Connection | None:
        """A connection that was opened so, or None. Those to other things of that name are closed: it was replaced."""
        self._drop(lambda item: item.key.how == wanted.how and item.key != wanted)
        while True:
            with self._lock:
                found = [place for place, item in enumerate(self._kept) if item.key == wanted]
                if not found:
                    return None
                connection = self._kept.pop(found[-1]).connection
            if self._answers(connection):
                return connection
            connection.close()

    def put(self, opened: Key, connection: Connection) -> bool:
        """Keep it until somebody takes it; False when it is not kept, and is the caller's to close."""
        self._drop(lambda _: False)
        if not self._at_rest(connection):
            return False
        with self._lock:
            if len(self._kept) >= self._most:
                return False
            self._kept.append(_Kept(opened, time.monotonic(), connection))
        return True

    def close(self) -> None:
        """Close them all."""
        self._drop(lambda _: True)

    def _drop(self, stale: Callable[[_Kept[Connection]], bool]) -> None:
        """Close what is stale, and what nobody has used for too long."""
        with self._lock:
            oldest = time.monotonic() - self._seconds
            gone = [item for item in self._kept if item.since < oldest or stale(item)]
            if gone:
                self._kept = [item for item in self._kept if item not in gone]
        for item in gone:
            item.connection.close()


class GivesBack:
    """The part of a wrapper that gives its connection back to `idle` in place of closing it; stands before Django's."""

    idle: Idle[Any]
    connection: Any
    errors_occurred: bool
    _opened: Key | None = None

    def _close(self) -> None:
        """Give it back; after a fault, or in the middle of something, close it."""
        if self.connection is None:
            return
        if self._opened is None or self.errors_occurred or not self.idle.put(self._opened, self.connection):
            super()._close()  # type: ignore[misc]  # Django's
