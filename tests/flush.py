"""What a transactional test must wait for before its tables are emptied.

A thread that the test left behind may still read: the watch over an answer looks for a fifth of a second longer. Its
query of several tables and the flush would each wait for a table that the other holds, which PostgreSQL ends by
breaking one of them off (a deadlock).
"""

from __future__ import annotations

import threading
import time

from django.db import connection

SECONDS = 60.0
WATCH = "answer-watch"
_BUSY = (
    "SELECT left(query, 200) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend' AND state <> 'idle'"
)


def readers() -> list[str]:
    """What other connections of this database are doing, a transaction that does nothing included; empty on SQLite,
    where who writes waits for who reads."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(_BUSY)
        return [query for (query,) in cursor.fetchall()]


def wait_for_readers(seconds: float = SECONDS) -> None:
    """Raises TimeoutError, which names the statements, when somebody still reads after so long."""
    until = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread.name == WATCH:  # between two looks it is not seen in the database
            thread.join(seconds)
    while found := readers():
        if time.monotonic() > until:
            raise TimeoutError(f"the test is over, and still there runs: {found}")
        time.sleep(0.01)
