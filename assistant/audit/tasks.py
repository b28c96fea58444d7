"""The log's clockwork: a checkpoint when there is something new, segments sealed when they are full."""

from __future__ import annotations

import logging

import redis
from celery import shared_task
from django.db import Error as DatabaseFault

from assistant import observability
from assistant.errors import AuditUnavailable

from . import denials as denied
from . import refusals as refused
from . import services

logger = logging.getLogger(__name__)


@shared_task(name="assistant.audit.tasks.checkpoint", ignore_result=True)
def checkpoint() -> None:
    with observability.context(actor="system", origin="task:audit.checkpoint"):
        services.seal_segments()
        services.checkpoint()


@shared_task(name="assistant.audit.tasks.refusals", ignore_result=True)
def refusals() -> None:
    """Connections that processes refused become events."""
    with observability.context(actor="system", origin="task:audit.refusals"):
        refused.record_refusals()


@shared_task(name="assistant.audit.tasks.denials", ignore_result=True, expires=60)
def denials() -> None:
    """Denials that were counted become events."""
    try:
        denied.record_counted()
    except (AuditUnavailable, DatabaseFault, redis.RedisError) as error:
        logger.warning("denials stay counted: %s", error)
