"""Waiting for the database, but not for long: a bound on locks and statements for one short transaction.

Knows: how each database says it. Does not know: what is written.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

from django.db import connection

_SILENCE = 0.25  # seconds beyond the bound after which a server that says nothing is hung up on


@contextmanager
def patience(*, milliseconds: int) -> Iterator[None]:
    """Inside the block a lock is awaited for at most so long, then the statement fails with OperationalError.

    Enter it outside any transaction; open the transaction inside it. On SQLite it sets the busy timeout; on
    PostgreSQL the session's lock and statement timeouts, and it hangs up when the server does not even answer.
    """
    if connection.in_atomic_block:  # the transaction's own waits are not ours to change
        yield
    elif connection.vendor == "sqlite":
        with _busy_timeout(milliseconds):
            yield
    else:
        with _hang_up_after(milliseconds / 1000 + _SILENCE), _server_timeouts(milliseconds):
            yield


@contextmanager
def _busy_timeout(milliseconds: int) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        before = cursor.fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {int(milliseconds)}")
    try:
        yield
    finally:
        if connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {before}")


@contextmanager
def _server_timeouts(milliseconds: int) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)",
            [str(milliseconds), str(milliseconds)],
        )
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout; RESET statement_timeout")


@contextmanager
def _hang_up_after(seconds: float) -> Iterator[None]:
    """Shuts the connection's socket when the block takes longer: whoever waits on it gets an OperationalError."""
    _drop_if_lost()
    connection.ensure_connection()  # a new one has connect_timeout for its beginning
    descriptor = os.dup(connection.connection.pgconn.socket)

    def hang_up() -> None:
        with socket.socket(fileno=os.dup(descriptor)) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # so that the descriptor is not closed under it
        os.close(descriptor)
        _drop_if_lost()


def _drop_if_lost() -> None:
    if connection.connection is not None and connection.connection.closed:
        connection.close()  # whoever comes next makes a new one
