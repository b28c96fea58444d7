"""Tasks of the golden set: ids come in, rows are the truth, running one twice is harmless."""

from __future__ import annotations

from celery import shared_task
from django.db import transaction

from assistant import leases, observability
from assistant.registry import jobs

from . import evaluating, services
from .models import Why


@shared_task(name=services.TASK)
def run(run_id: int) -> None:
    """A slice of a run; the next one waits in the queue behind people's questions."""
    from . import running  # loads what answers need

    if running.carry_on(run_id):
        services.send(run_id)


@shared_task(name="assistant.quality.tasks.look", expires=50)
def look() -> None:
    """Begin what the schedule asks for, and send again what nobody works on."""
    with observability.context(actor="system", origin="task:quality.look"), transaction.atomic():
        if services.due():
            services.begin(Why.SCHEDULE)
        services.end_lost()
    for run_id in leases.overdue(services.queued()).values_list("pk", flat=True):
        services.send(run_id)


@shared_task(name=jobs.EVALUATE_TASK)
def evaluate(job_id: int) -> None:
    jobs.carry_out(job_id, evaluating.work)
