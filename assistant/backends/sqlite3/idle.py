"""Idle SQLite connections. Knows: when one is at rest, and when its file is another one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from assistant.backends.idle import Idle, Key


def key(path: str | Path, how: str) -> Key | None:
    """None while there is no such file."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return Key(how, (found.st_dev, found.st_ino))


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


idle: Idle[sqlite3.Connection] = Idle(at_rest)
