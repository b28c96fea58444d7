"""What the suite itself rests on: a test's tables are emptied once nobody reads them any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from assistant.accounts.models import User
from assistant.chat.models import Answer
from assistant.chat.watch import watch
from tests import flush

from . import library


@contextmanager
def reading() -> Iterator[threading.Event]:
    """Another thread in the middle of a transaction: it has read answers, and reads people once it is let go."""
    begun, go = threading.Event(), threading.Event()

    def read() -> None:
        with transaction.atomic():
            Answer.objects.exists()
            begun.set()
            go.wait(60)
            User.objects.exists()
        connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(60)
    try:
        yield go
    finally:
        go.set()
        thread.join(60)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite who writes waits for who reads")
@pytest.mark.django_db(transaction=True)
def test_the_flush_waits_for_who_still_reads():
    flush.wait_for_readers()
    with reading() as go:
        with pytest.raises(TimeoutError, match="chat_answer"):
            flush.wait_for_readers(0.2)
        threading.Timer(0.3, go.set).start()
        flush.wait_for_readers()
        assert flush.readers() == []


def test_the_watch_over_answers_is_waited_for(company, people):
    library.asked(people.employee, "What is the meal allowance in Germany?")
    assert watch._thread is None or watch._thread.name == flush.WATCH
    flush.wait_for_readers()
    assert watch._thread is None
    assert not [thread for thread in threading.enumerate() if thread.name == flush.WATCH]
