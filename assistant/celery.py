"""The Celery application. Tasks carry ids only; rows are the truth.

A worker that serves the queue "answers" loads its models and its index replica before it takes work, and searches in
threads of their own beside it (`documents.search_desk`). Every worker leaves a heartbeat in Redis, so that health is a
read and never a question to a busy process.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import heartbeat_sent, setup_logging, worker_init, worker_ready, worker_shutdown

from assistant import broker

if TYPE_CHECKING:
    from assistant.documents.search_desk import Desk

logger = logging.getLogger(__name__)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
broker.install()
app = Celery("assistant")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

HEARTBEAT_SECONDS = 15


@setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Django's LOGGING is already in force; Celery must not replace it."""


def serves_answers() -> bool:
    """Whether this process was started as an answers worker (see runtime.processes and deploy/)."""
    return os.environ.get("ASSISTANT_WORKER") == "answers"


@worker_init.connect
def _refuse_unsafe_start(**_: Any) -> None:
    from assistant import checks

    checks.refuse_unsafe_start()


_desk: Desk | None = None


@worker_ready.connect
def _warm_up(sender: Any = None, **_: Any) -> None:
    global _desk
    if serves_answers():
        from assistant import engines
        from assistant.documents import replica
        from assistant.documents.search_desk import Desk

        engines.warm_up()
        replica.catch_up()
        _desk = Desk()
        _desk.open()
    _beat()


@worker_shutdown.connect
def _leave(**_: Any) -> None:
    """A snapshot of the index makes the next start quick."""
    if serves_answers():
        from assistant.documents import replica

        if _desk is not None:
            _desk.close()
        replica.close()


@heartbeat_sent.connect
def _beat(**_: Any) -> None:
    """On Celery's timer thread, whose database connection nobody else closes: after a restart of the database a kept
    one would fail at every beat."""
    from django.db import DatabaseError, connection

    from assistant import health

    facts: dict[str, Any] = {}
    if serves_answers():
        from assistant import engines
        from assistant.documents import replica

        try:
            engines.look()
            facts = replica.status()
        except DatabaseError as error:  # the worker lives all the same; the next beat asks anew
            logger.warning("heartbeat: %s", error)
            facts = {"replica_ready": False}
        finally:
            if not connection.in_atomic_block:
                connection.close()
    health.beat(os.environ.get("ASSISTANT_WORKER", "worker"), seconds=HEARTBEAT_SECONDS, facts=facts)
