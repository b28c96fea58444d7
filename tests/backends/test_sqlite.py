"""Waiting for SQLite's one writer: as long as the busy timeout says, and the timeout stays what it was."""

import sqlite3
import threading

import pytest
from django.db import connection, connections, transaction
from django.db.utils import OperationalError

from assistant.accounts.models import Team

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
