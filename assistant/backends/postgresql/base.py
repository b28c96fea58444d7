"""Django's PostgreSQL, with connections that outlive the request.

Knows: which connections may be used again, and whether one still answers (`idle`). Does not know: who asks what.

A connection is kept when no transaction is under way on it and no fault occurred; what is set in one (`SET LOCAL`) ends
with its transaction, and nothing here sets anything for a session or listens. Before it is lent it is asked for
nothing: a server that restarted, or is silent for as long as a new connection may take, is found out there, as it would
be by connecting. Where a line falls dead later, `tcp_user_timeout` ends it (`settings`).
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import IsolationLevel
from psycopg.pq import ExecStatus, TransactionStatus

from assistant.backends.idle import GivesBack, Idle, Key

_SECONDS = 60.0  # idle for longer: closed, so that a burst leaves no crowd of server processes behind
_ANSWER_MS = 3000  # as `connect_timeout`


def at_rest(connection: psycopg.Connection[Any]) -> bool:
    return not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE


def answers(connection: psycopg.Connection[Any]) -> bool:
    """One round trip with an empty question."""
    server = connection.pgconn
    try:
        server.send_query(b"")
        server.flush()
        ready = select.poll()
        ready.register(server.socket, select.POLLIN)
        while server.is_busy():
            if not ready.poll(_ANSWER_MS):
                return False
            server.consume_input()
        answer = server.get_result()
        return answer is not None and answer.status == ExecStatus.EMPTY_QUERY and server.get_result() is None
    except psycopg.Error:
        return False


idle: Idle[psycopg.Connection[Any]] = Idle(at_rest, answers=answers, seconds=_SECONDS)


class DatabaseWrapper(GivesBack, base.DatabaseWrapper):
    idle = idle

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """One that is idle, else a new one."""
        self._opened = Key(repr(self.settings_dict))
        if kept := idle.take(self._opened):
            chosen = self.settings_dict["OPTIONS"].get("isolation_level", IsolationLevel.READ_COMMITTED)
            self.isolation_level = IsolationLevel(chosen)  # as Django notes it of a new one
            return kept
        made: psycopg.Connection[Any] = super().get_new_connection(conn_params)
        return made

    def close_pool(self) -> None:
        """Django's word before a database is dropped or copied, or the time zone changes: nobody may be connected."""
        idle.close()
        super().close_pool()
