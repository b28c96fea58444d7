"""Waiting for SQLite's one writer: as long as the busy timeout says, and the timeout stays what it was."""

import os
import sqlite3
import threading

import pytest
from django.db import connection, connections, transaction
from django.db.utils import OperationalError

from assistant.accounts.models import Team
from assistant.backends.idle import Idle
from assistant.backends.sqlite3.idle import at_rest, idle, key

pytestmark = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="how SQLite waits")


@pytest.fixture
def someone_writes(transactional_db):
    """Another connection in the middle of a transaction: what ends it."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield lambda: other.execute("ROLLBACK")
    other.close()


def busy_timeout(value=None):
    with connection.cursor() as cursor:
        if value is not None:
            cursor.execute(f"PRAGMA busy_timeout = {value}")
        cursor.execute("PRAGMA busy_timeout")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("milliseconds", [0, 40])
def test_a_transaction_gives_up_when_the_busy_timeout_is_over(someone_writes, milliseconds):
    before = busy_timeout()
    busy_timeout(milliseconds)
    try:
        with pytest.raises(OperationalError, match="locked"), transaction.atomic():
            pytest.fail("it began beside another writer")
        assert busy_timeout() == milliseconds
        assert not connection.in_atomic_block
    finally:
        busy_timeout(before)
    someone_writes()
    with transaction.atomic():
        Team.objects.create(name="After", slug="after")
    assert Team.objects.filter(slug="after").exists()


def test_a_transaction_that_waits_goes_on_when_the_other_one_ends(someone_writes):
    busy_timeout(60_000)
    timer = threading.Timer(0.7, someone_writes)  # beyond the point where it looks less often
    timer.start()
    with transaction.atomic():
        Team.objects.create(name="Waited", slug="waited")
    timer.join()
    assert busy_timeout() == 60_000
    assert Team.objects.filter(slug="waited").exists()
    connections["default"].close()


@pytest.fixture
def kept(transactional_db):
    """The idle connections, none at the beginning."""
    connection.close()
    idle.close()
    yield idle
    connection.close()
    idle.close()


def test_a_closed_connection_serves_the_next_thread(kept):
    def use():
        Team.objects.count()
        seen.append(connection.connection)
        connection.close()

    seen = []
    for _ in range(3):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert seen[0] is seen[1] is seen[2]
    assert len(kept) == 1


def test_two_threads_at_once_have_two_connections(kept):
    def use():
        Team.objects.count()
        seen.append(connection.connection)
        both.wait(60)
        connection.close()

    seen, both = [], threading.Barrier(2)
    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen[0] is not seen[1]
    assert len(kept) == 2


def test_a_connection_in_the_middle_of_something_is_not_kept(kept):
    Team.objects.create(name="One", slug="one")
    Team.objects.create(name="Two", slug="two")
    cursor = connection.connection.execute("SELECT slug FROM accounts_team")
    cursor.fetchone()  # half read: it holds its view of the database
    connection.close()
    assert len(kept) == 0
    connection.ensure_connection()
    connection.connection.execute("BEGIN")
    connection.close()
    assert len(kept) == 0
    assert Team.objects.count() == 2


def test_a_connection_after_a_fault_is_not_kept(kept):
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    connection.close()
    assert len(kept) == 0


def test_a_kept_connection_works_as_a_new_one_does(kept):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous")
        assert cursor.fetchone()[0] == 2
    connection.close()
    busy = busy_timeout()
    with connection.cursor() as cursor:
        for pragma, value in {"synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "recursive_triggers": 1}.items():
            cursor.execute(f"PRAGMA {pragma}")
            assert cursor.fetchone()[0] == value, pragma
    assert busy == connection.settings_dict["OPTIONS"]["timeout"] * 1000


def test_a_file_put_in_the_place_of_another_is_opened_anew(tmp_path):
    path, pool = tmp_path / "data", Idle(at_rest)
    first = sqlite3.connect(path)
    before = key(path, "so")
    assert before is not None
    assert pool.put(before, first)
    path.rename(tmp_path / "old")
    sqlite3.connect(path).close()
    path.touch()
    after = key(path, "so")
    assert after is not None
    assert pool.take(after) is None
    assert len(pool) == 0
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first.execute("SELECT 1")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_no_connection_crosses_a_fork(kept):
    Team.objects.count()
    connection.close()
    assert len(kept) == 1
    child = os.fork()
    if child == 0:
        os._exit(len(kept))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(kept) == 0


def test_only_so_many_are_kept(tmp_path):
    path, pool = tmp_path / "data", Idle(at_rest, most=2)
    opened = [sqlite3.connect(path) for _ in range(3)]
    path.touch()
    where = key(path, "so")
    assert where is not None
    assert [pool.put(where, each) for each in opened] == [True, True, False]
    assert pool.take(where) is opened[1]  # the one used last: its cache is warm
    opened[1].close()
    opened[2].close()
    pool.close()
    assert key(tmp_path / "absent", "so") is None
