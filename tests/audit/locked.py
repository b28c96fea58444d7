"""The log while somebody else writes, and how long that keeps a caller."""

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

from django.db import connections, transaction

from assistant.audit import services


@contextmanager
def locked_log():
    """Another connection holds the log's lock."""
    locked, release = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            services.record(action="auth.sign_out")
            locked.set()
            release.wait(120)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(60)
    try:
        yield
    finally:
        release.set()
        thread.join()


PROMISED_S = 2.5  # an intent answers within it, on a machine that has time for it
GENEROUS_S = 10.0
"""What a busy machine is given; without a bound of its own a lock is awaited for twice as long (settings.DATABASES)."""


def quickest(call: Callable[[], object], *, enough: float = PROMISED_S, tries: int = 5) -> float:
    """Seconds of the quickest of a few calls; it stops at the first that took less than `enough`. A bound that the
    code keeps shows in one of them, however busy the machine is; one that it does not keep shows in none.
    Compare with GENEROUS_S."""
    best = float("inf")
    for _ in range(tries):
        began = time.monotonic()
        call()
        best = min(best, time.monotonic() - began)
        if best < enough:
            break
    return best
