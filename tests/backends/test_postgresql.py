"""PostgreSQL connections that outlive the request: used again by the next thread, never in the middle of something."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError, ProgrammingError

from assistant.accounts.models import Team
from assistant.backends.idle import Idle, Key
from assistant.backends.postgresql.base import answers, at_rest, idle

pytestmark = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="how PostgreSQL is connected to")


@pytest.fixture
def kept(transactional_db: None) -> Iterator[Idle]:
    """The idle connections, none at the beginning."""
    connection.close()
    idle.close()
    yield idle
    connection.close()
    idle.close()


def in_a_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def backend() -> int:
    """The process of the server that serves this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end(process: int) -> None:
    """The server ends that process and is gone from the other end of the line when this returns."""
    with psycopg.connect(**parameters(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [process])


def parameters() -> dict:
    wanted = ("dbname", "user", "password", "host", "port")
    return {name: value for name, value in connection.get_connection_params().items() if name in wanted}


def test_a_closed_connection_serves_the_next_thread(kept):
    def use():
        seen.append(backend())
        connection.close()

    seen: list[int] = []
    for _ in range(3):
        in_a_thread(use)
    assert seen[0] == seen[1] == seen[2]
    assert len(kept) == 1


def test_two_threads_at_once_have_two_connections(kept):
    def use():
        seen.append(backend())
        both.wait(60)
        connection.close()

    seen, both = [], threading.Barrier(2)
    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen[0] != seen[1]
    assert len(kept) == 2


def test_a_connection_in_a_transaction_is_not_kept(kept):
    connection.ensure_connection()
    connection.connection.execute("BEGIN")
    connection.close()
    assert len(kept) == 0
    with transaction.atomic():
        Team.objects.create(name="One", slug="one")
        connection.close()
    assert len(kept) == 0
    assert not Team.objects.exists()


def test_a_connection_after_a_fault_is_not_kept(kept):
    with pytest.raises(ProgrammingError), connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    connection.close()
    assert len(kept) == 0


def test_a_kept_connection_works_as_a_new_one_does(kept):
    def state():
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, setting FROM pg_settings WHERE source = 'session' OR name = 'TimeZone'")
            return sorted(cursor.fetchall()), connection.isolation_level, connection.connection.autocommit

    before, process = state(), backend()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 7; SET LOCAL statement_timeout = 7000")
    connection.close()
    assert len(kept) == 1
    assert state() == before
    assert backend() == process


def test_what_the_server_hung_up_is_not_lent(kept):
    process = backend()
    connection.close()
    assert len(kept) == 1
    end(process)
    assert backend() != process


def test_a_fault_on_a_kept_connection_ends_it_and_the_next_one_is_new(kept):
    process = backend()
    end(process)
    with pytest.raises(OperationalError):
        backend()
    connection.close()
    assert len(kept) == 0
    assert backend() != process


def test_a_silent_server_is_found_out(kept):
    """A connection whose process was stopped, as when the line falls dead, does not answer, and is given up."""
    line = psycopg.connect(**parameters(), autocommit=True)
    process = line.info.backend_pid
    os.kill(process, 19)
    try:
        assert at_rest(line)
        assert not answers(line)
    finally:
        os.kill(process, 18)
    line.close()
    assert not at_rest(line)


def test_another_password_or_database_is_another_key(kept):
    connection.ensure_connection()
    connection.close()
    assert kept.take(Key("another")) is None
    assert len(kept) == 1


def test_nobody_is_connected_when_a_database_is_to_be_dropped(kept):
    connection.ensure_connection()
    connection.close()
    assert len(kept) == 1
    connection.close_pool()
    assert len(kept) == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_no_connection_crosses_a_fork(kept):
    connection.ensure_connection()
    connection.close()
    child = os.fork()
    if child == 0:
        os._exit(len(kept))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(kept) == 0
