"""Who must forget what when documents are deleted. Knows: a list of callables. Does not know: what they erase.

Rooms above this one (chat) register at start; the direction of imports stays as it is, and no signal is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

import redis
from django.db import OperationalError, connection

from assistant.transport import redis_client

logger = logging.getLogger(__name__)
_PENDING = "erasure:write-ahead-log"

Eraser = Callable[[Sequence[UUID]], dict[str, int] | None]

_erasers: list[Eraser] = []


def register_eraser(eraser: Eraser) -> None:
    """`eraser(document_ids)` runs inside the transaction of the deletion, before the rows go; what it counts enters the
    receipt. Registering the same function twice changes nothing."""
    if eraser not in _erasers:
        _erasers.append(eraser)


def erase_elsewhere(document_ids: Sequence[UUID]) -> dict[str, int]:
    """Run every eraser; the sum of their counts."""
    counts: dict[str, int] = {}
    for eraser in _erasers:
        for name, number in (eraser(document_ids) or {}).items():
            counts[name] = counts.get(name, 0) + number
    return counts


def clear_write_ahead_log() -> bool:
    """Make SQLite copy its write-ahead log into the (securely deleting) database file and truncate it, so that erased
    text is not left there. True when done or not needed. False while a reader holds it: the sweeper tries again."""
    if connection.vendor != "sqlite":
        return True
    done = not connection.in_atomic_block and _truncate()
    try:
        if done:
            redis_client().delete(_PENDING)
        else:
            redis_client().set(_PENDING, 1)
    except redis.RedisError:  # the next deletion clears the log as well
        logger.warning("could not note that the write-ahead log is to be cleared")
    return done


def write_ahead_log_pending() -> bool:
    try:
        return bool(redis_client().exists(_PENDING))
    except redis.RedisError:
        return True


def _truncate() -> bool:
    usual = connection.settings_dict["OPTIONS"].get("timeout", 5) * 1000
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 500")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy = cursor.fetchone()[0]
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {usual:.0f}")
    except OperationalError:
        return False
    return not busy
