"""The log's clockwork: a checkpoint when there is something new, segments sealed when they are full."""

from __future__ import annotations

from celery import shared_task

from assistant import observability

from . import services


@shared_task(name="assistant.audit.tasks.checkpoint", ignore_result=True)
def checkpoint() -> None:
    with observability.context(actor="system", origin="task:audit.checkpoint"):
        services.seal_segments()
        services.checkpoint()
