"""Long work on models, and its sweeper: ids come in, rows are the truth, running one twice is harmless."""

from __future__ import annotations

from celery import shared_task

from assistant import engines
from assistant.models import JobKind
from assistant.registry import benchmarking, importing, jobs, quantizing

_WORK: dict[str, jobs.Work] = {
    JobKind.QUANTIZE: quantizing.work,
    JobKind.IMPORT: importing.work,
    JobKind.BENCHMARK: benchmarking.work,
}


@shared_task(name=jobs.TASK)
def work(job_id: int) -> None:
    jobs.carry_out(job_id, lambda job, told: _WORK[job.kind](job, told))


@shared_task(name="assistant.tasks.sweep")
def sweep() -> None:
    jobs.resend()
    engines.store().tidy()
