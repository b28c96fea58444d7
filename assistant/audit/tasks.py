"""The log's clockwork: a checkpoint when there is something new, segments sealed when they are full."""

from __future__ import annotations

import logging

import redis
from celery import shared_task
from django.db import Error as DatabaseFault

from assistant import observability
from assistant.errors import AuditUnavailable, Invalid, Unavailable

from . import denials as denied
from . import forwarding, services
from . import refusals as refused

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


@shared_task(name="assistant.audit.tasks.denials", ignore_result=True)
def denials() -> None:
    """Denials that were counted become events."""
    try:
        denied.record_counted()
    except (AuditUnavailable, DatabaseFault, redis.RedisError) as error:
        logger.warning("denials stay counted: %s", error)


@shared_task(name="assistant.audit.tasks.forward", ignore_result=True)
def forward() -> None:
    """Events go on to the log collector, when there is one."""
    with observability.context(actor="system", origin="task:audit.forward"):
        try:
            forwarding.forward()
        except (Unavailable, Invalid) as error:
            logger.warning("%s", error.detail)
