"""Waiting for the database, but not for long: a bound on locks and statements for one short transaction.

Knows: how each database says it. Does not know: what is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def patience(*, milliseconds: int) -> Iterator[None]:
    """Inside the block a lock is awaited for at most so long, then the statement fails with OperationalError.

    Enter it outside any transaction; open the transaction inside it. On SQLite it sets the busy timeout, on
    PostgreSQL the session's lock and statement timeouts; both are put back afterwards.
    """
    if connection.in_atomic_block:  # the transaction's own waits are not ours to change
        yield
        return
    connection.ensure_connection()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout")
            before = cursor.fetchone()[0]
            cursor.execute(f"PRAGMA busy_timeout = {int(milliseconds)}")
        else:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)",
                [str(milliseconds), str(milliseconds)],
            )
    try:
        yield
    finally:
        if connection.connection is not None and connection.is_usable():
            with connection.cursor() as cursor:
                if connection.vendor == "sqlite":
                    cursor.execute(f"PRAGMA busy_timeout = {before}")
                else:
                    cursor.execute("RESET lock_timeout; RESET statement_timeout")
