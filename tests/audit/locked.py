"""The log while somebody else writes."""

import threading
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
