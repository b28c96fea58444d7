"""A question is handed over, or left to the sweeper; nobody waits for a Redis that hangs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from assistant.chat import dispatch
from assistant.transport import redis_client


@contextmanager
def hanging_redis() -> Iterator[None]:
    """The Redis of this test process takes connections and says nothing."""
    pid = int(redis_client().info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_redis_that_hangs_does_not_hold_up_who_asks(caplog):
    dispatch.send(uuid4())  # the connection is there
    key = uuid4()
    sender = threading.Thread(target=dispatch.send, args=(key,), daemon=True)
    with hanging_redis():
        sender.start()
        sender.join(60)
        assert not sender.is_alive()
    assert f"answer {key} waits for the sweeper" in caplog.text
    other = uuid4()
    dispatch.send(other)
    assert dispatch.sent_lately(other)
