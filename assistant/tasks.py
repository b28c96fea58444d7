"""Long work on models, and its sweeper: ids come in, rows are the truth, running one twice is harmless."""

from __future__ import annotations

from celery import shared_task

from assistant import quantizing


@shared_task(name=quantizing.TASK)
def quantize(job_id: int) -> None:
    quantizing.carry_out(job_id)


@shared_task(name="assistant.tasks.sweep")
def sweep() -> None:
    quantizing.resend()
