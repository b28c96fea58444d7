"""The log's clockwork: a checkpoint when there is something new, segments sealed when they are full."""

from __future__ import annotations

from celery import shared_task

from assistant import observability

from . import refusals as refused
from . import services


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
