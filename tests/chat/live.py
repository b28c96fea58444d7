"""The product running inside the test process: an answers worker with a thread pool, and uvicorn on a free port.

Import the fixtures where they are needed. Tests that use them need a transactional database.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn


@pytest.fixture
def worker(transactional_db) -> Iterator[None]:
    """An answers worker until the test ends: Celery serving the queue "answers", and the search desk."""
    from celery.contrib.testing.worker import start_worker

    from assistant.celery import app
    from assistant.documents.search_desk import Desk

    app.loader.import_default_modules()
    options: Any = {"pool": "threads", "concurrency": 2, "queues": ["answers"], "loglevel": "ERROR"}
    with start_worker(app, perform_ping_check=False, shutdown_timeout=60, **options):
        desk = Desk(2)
        desk.open()
        yield
        desk.close()


@pytest.fixture
def server(transactional_db) -> Iterator[str]:
    """The ASGI application behind uvicorn; its address."""
    from assistant.asgi import application

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", lifespan="off", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, name="uvicorn", daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
