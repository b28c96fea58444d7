"""Django's SQLite, with a better way of waiting to write, and connections that outlive the request.

Knows: how SQLite says that somebody else is writing, and which connections may be used again (`idle`). Does not know:
who writes what.

SQLite waits for its write lock by sleeping, longer each time and up to 100 ms: with many writers the lock lies idle
most of the time, and who came last gets it as easily as who came first. Here a transaction that has to wait looks again
every 1 or 2 ms, for as long as the connection's busy timeout says; a long wait looks less often.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from django.db.backends.sqlite3 import base

from assistant.backends.idle import GivesBack

from .idle import at_rest, idle, key

_SHORT_MS, _LONG_MS = 3, 18  # SQLite sleeps 1, 2 ms and 1, 2, 5, 10 ms inside them
_SOON = 0.5  # seconds after which a wait is a long one


class DatabaseWrapper(GivesBack, base.DatabaseWrapper):
    idle = idle
    transaction_mode: str | None

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """One that is idle, else a new one."""
        self._opened = key(conn_params["database"], repr((self.settings_dict["NAME"], self.settings_dict["OPTIONS"])))
        if self._opened is not None and (kept := idle.take(self._opened)):
            return kept
        made: sqlite3.Connection = super().get_new_connection(conn_params)
        at_rest(made)
        return made

    def _start_transaction_under_autocommit(self) -> None:
        begin = f"BEGIN {self.transaction_mode or ''}"
        with self.wrap_database_errors:
            (limit_ms,) = self.connection.execute("PRAGMA busy_timeout").fetchone()
            try:
                self._await_write_lock(begin, limit_ms / 1000)
            finally:
                self.connection.execute(f"PRAGMA busy_timeout = {limit_ms}")

    def _await_write_lock(self, begin: str, seconds: float) -> None:
        """Raises sqlite3.OperationalError: busy for so long, or another fault at once."""
        began = time.monotonic()
        while True:
            waited = time.monotonic() - began
            left_ms = max(0, int((seconds - waited) * 1000))
            step = min(left_ms, _SHORT_MS if waited < _SOON else _LONG_MS)
            self.connection.execute(f"PRAGMA busy_timeout = {step}")
            try:
                self.connection.execute(begin)
            except sqlite3.OperationalError as error:
                if left_ms == 0 or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            else:
                return
