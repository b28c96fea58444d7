"""SQLite connections that nobody uses at the moment, kept for whoever needs one next in this process.

Knows: files and open connections. Does not know: Django, or what was done with a connection.

Under ASGI every request has a thread of its own, and so a connection of its own. To open one costs more than the
queries of a request: SQLite reads the whole schema first, and whoever closes the last one copies the write-ahead log
into the database and deletes it. A connection is lent to one user at a time, and taken back only when nothing is under
way on it. None crosses a fork, which SQLite forbids.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
from pathlib import Path

MOST = 16  # for bursts; what comes back beyond that is closed

Key = tuple[str, int, int]  # how it was opened, and which file that was: one put in its place is another


def key(path: str | Path, how: str) -> Key | None:
    """None while there is no such file."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return how, found.st_dev, found.st_ino


class Idle:
    """Open connections, the one used last first; safe between threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: list[tuple[Key, sqlite3.Connection]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, wanted: Key) -> sqlite3.Connection | None:
        """A connection that was opened so, or None. Those to other files of that name are closed: it was replaced."""
        with self._lock:
            stale = [item for item in self._kept if item[0][0] == wanted[0] and item[0] != wanted]
            kept = [item for item in self._kept if item not in stale]
            place = next((at for at in reversed(range(len(kept))) if kept[at][0] == wanted), None)
            taken = None if place is None else kept.pop(place)[1]
            self._kept = kept
        for _, connection in stale:
            connection.close()
        return taken

    def put(self, opened: Key, connection: sqlite3.Connection) -> bool:
        """Keep it until somebody takes it; False when it is not kept, and is the caller's to close."""
        if not at_rest(connection):
            return False
        with self._lock:
            if len(self._kept) >= self._most:
                return False
            self._kept.append((opened, connection))
        return True

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            kept, self._kept = self._kept, []
        for _, connection in kept:
            connection.close()


def at_rest(connection: sqlite3.Connection) -> bool:
    """Neither a transaction nor a statement is under way: one half read would hold on to its old view of the database.
    SQLite refuses to replace a function while a statement runs. (The first call, which makes it, tells nothing.)"""
    if connection.in_transaction:
        return False
    try:
        connection.create_function("assistant_at_rest", 0, _nothing)
    except sqlite3.Error:
        return False
    return True


def _nothing() -> None:
    return None


idle = Idle()
os.register_at_fork(before=idle.close)
atexit.register(idle.close)
