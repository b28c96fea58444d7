"""Tables are rewritten so that no file of the database holds what their rows held, whoever was reading meanwhile."""

import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection

from assistant.vault import remains
from tests.files import content

pytestmark = pytest.mark.django_db(transaction=True)

TABLE, WORD = "remains_probe", "kanarierestexq7"


def left() -> bool:
    """Whether the word stands in a file of the database, PostgreSQL's recycled log left aside (see THREAT_MODEL.md)."""
    if connection.vendor != "postgresql":
        path = Path(connection.settings_dict["NAME"])
        return any(WORD.encode() in content(file) for file in path.parent.glob(f"{path.name}*"))
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT current_setting('data_directory')")
        (folder,) = cursor.fetchone()
    files = (path for path in Path(folder).rglob("*") if path.is_file() and "pg_wal" not in path.parts)
    return any(WORD.encode() in content(path) for path in files)


@pytest.fixture
def table():
    """A table in which a word was written and then replaced."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {TABLE} (id integer PRIMARY KEY, word text)")
        cursor.execute(f"INSERT INTO {TABLE} VALUES (1, %s), (2, %s)", [WORD, WORD])
        cursor.execute(f"UPDATE {TABLE} SET word = ''")
    assert left()  # the search finds what is there
    yield TABLE
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")


@pytest.fixture
def reader():
    """Another session on PostgreSQL, in a transaction that sees the database as it is now."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no older rows to carry over")

    def begin(session):
        session.set_autocommit(False)
        with session.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT 1")
        return session

    with closing(connection.copy()) as session:
        yield lambda: begin(session)


def test_nothing_is_left_of_what_was_replaced(table):
    assert remains.rewrite(connection, [table])
    assert not left()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, word FROM {table} ORDER BY id")
        assert cursor.fetchall() == [(1, ""), (2, "")]


@pytest.fixture
def read_before(reader, table):
    """The table, replaced once more under the eyes of a reader who began before."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET word = %s", [WORD])
        session = reader()
        cursor.execute(f"UPDATE {table} SET word = ''")
    return session


@pytest.fixture
def written_beside(table):
    """The same with somebody who began to write before, in another database of the server."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server that others share")
    with closing(connection.copy()) as session, connection.cursor() as cursor:
        session.settings_dict = {**session.settings_dict, "NAME": "postgres"}
        cursor.execute(f"UPDATE {table} SET word = %s", [WORD])
        session.set_autocommit(False)
        with session.cursor() as other:
            other.execute("SELECT pg_current_xact_id()")
        cursor.execute(f"UPDATE {table} SET word = ''")
        yield session


@pytest.mark.parametrize("who", ["read_before", "written_beside"])
def test_who_began_before_is_waited_for(table, who, request, monkeypatch):
    waited, session = [], request.getfixturevalue(who)

    def sleep(_: float) -> None:
        waited.append(1)
        session.rollback()

    monkeypatch.setattr(remains, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert remains.rewrite(connection, [table])
    assert waited
    assert not left()


def test_who_stays_is_not_waited_for_for_ever_and_it_is_told(table, read_before, monkeypatch, caplog):
    with monkeypatch.context() as hurried:
        hurried.setattr(remains, "READERS_SECONDS", 0)
        assert not remains.rewrite(connection, [table])
    assert left()  # carried over
    assert f"rewrite {table} later" in caplog.text
    read_before.rollback()
    assert remains.rewrite(connection, [table])
    assert not left()
