"""Waiting for the database, but not for long: a bound on locks and statements for one short transaction.

Knows: how each database says it. Does not know: what is written.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import connection, transaction

_SILENCE = 0.25  # seconds beyond the bound after which a server that says nothing is hung up on


@contextmanager
def short_transaction(*, milliseconds: int, durable: bool = False) -> Iterator[str]:
    """A transaction in which a lock is awaited for at most so long, then the statement fails with OperationalError.

    Yields the SQL that the caller sends before its first statement, in the same round trip if it likes: PostgreSQL's
    own bounds, for this transaction; empty on SQLite, and inside another transaction, whose waits are not ours to
    change. A server that does not even answer is hung up on.
    """
    if connection.in_atomic_block:
        with transaction.atomic(durable=durable):
            yield ""
    elif connection.vendor == "sqlite":
        with _busy_timeout(milliseconds), transaction.atomic(durable=durable):
            yield ""
    else:
        with _hang_up_after(milliseconds / 1000 + _SILENCE), transaction.atomic(durable=durable):
            bound = int(milliseconds)
            yield f"SET LOCAL lock_timeout = {bound}; SET LOCAL statement_timeout = {bound};"


@contextmanager
def _busy_timeout(milliseconds: int) -> Iterator[None]:
    connection.ensure_connection()
    # Asked of sqlite3 itself: through a cursor of Django's each of these takes as long as a query.
    with connection.wrap_database_errors:
        (before,) = connection.connection.execute("PRAGMA busy_timeout").fetchone()
        connection.connection.execute(f"PRAGMA busy_timeout = {int(milliseconds)}")
    try:
        yield
    finally:
        if connection.connection is not None:
            with connection.wrap_database_errors:
                connection.connection.execute(f"PRAGMA busy_timeout = {before}")


@contextmanager
def _hang_up_after(seconds: float) -> Iterator[None]:
    """Shuts the connection's socket when the block takes longer: whoever waits on it gets an OperationalError."""
    _drop_if_lost()
    connection.ensure_connection()  # a new one has connect_timeout for its beginning
    call = _calls.begin(connection.connection.pgconn.socket, seconds)
    try:
        yield
    finally:
        _calls.end(call)
        _drop_if_lost()


def _drop_if_lost() -> None:
    if connection.connection is not None and connection.connection.closed:
        connection.close()  # whoever comes next makes a new one


class _Calls:
    """The calls under way and when each has lasted too long; one thread for all of them, while there are any.

    A thread for each call would cost more than the call.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[object, tuple[float, int]] = {}  # call: when to hang up, on which socket
        self._thread: threading.Thread | None = None
        self._wakes = 0.0  # when the thread looks again by itself

    def begin(self, descriptor: int, seconds: float) -> object:
        call, at = object(), time.monotonic() + seconds
        with self._changed:
            self._running[call] = (at, descriptor)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="database-calls", daemon=True)
                self._thread.start()
            elif at < self._wakes:
                self._changed.notify()
        return call

    def end(self, call: object) -> None:
        """Nothing is hung up on after this; the socket may be closed or used for something else."""
        with self._changed:
            self._running.pop(call, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for call, (at, descriptor) in list(self._running.items()):
                    if at <= now:
                        del self._running[call]
                        _hang_up(descriptor)
                soonest = min((at for at, _ in self._running.values()), default=None)
                self._wakes = math.inf if soonest is None else soonest
                self._changed.wait(None if soonest is None else max(0.0, soonest - time.monotonic()))


def _hang_up(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)


_calls = _Calls()


def _forget_calls() -> None:
    """A forked process has its parent's calls in memory, but neither the thread nor the duty."""
    global _calls
    _calls = _Calls()


os.register_at_fork(after_in_child=_forget_calls)
