"""Long work on models that a page or a call asked for: a row each, carried out by a worker, stopped by whoever asks.

Knows rows, leases and the transport. Does not know what a kind of work does: `quantizing`, `importing`,
`benchmarking` and `quality.evaluating` begin their own kind and do it.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.db import IntegrityError, connections, models, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from assistant import leases, observability
from assistant.errors import AssistantError, Conflict, NotFound
from assistant.models import LIVE, JobKind, JobState, ModelJob
from inference.errors import InferenceError, OutOfMemory, QuantizationRefused, in_full

logger = logging.getLogger(__name__)

TASK = "assistant.tasks.work"
EVALUATE_TASK = "assistant.quality.tasks.evaluate"
LEASE_SECONDS = 100
KEEP_SECONDS = 30.0  # the lease is renewed this often, whatever the work is at
TELL_SECONDS = 1.0  # between two marks of progress
LAST_ATTEMPT = 2

Told = Callable[[str, int, int], None]  # stage, done, of how many; raises LeaseLost when the job was stopped
Work = Callable[[ModelJob, Told], dict[str, Any]]  # what is kept as the row's result


def start(kind: JobKind, *, target: str, **fields: Any) -> ModelJob:
    """A job for a worker, which is told once it is committed. One at a time for each kind and target: Conflict."""
    try:
        with transaction.atomic():  # of two at the same moment the database lets one in
            job = ModelJob.objects.create(kind=kind, target=target, by=observability.current().actor, **fields)
    except IntegrityError as error:
        raise Conflict(_UNDER_WAY[kind], code="under_way") from error
    transaction.on_commit(lambda: send(job))
    return job


_UNDER_WAY = {
    JobKind.QUANTIZE: "This copy is being made already.",
    JobKind.IMPORT: "A model of that name is being imported already.",
    JobKind.EVALUATE: "This model is being evaluated already.",
    JobKind.BENCHMARK: "The speed of this model is being measured already.",
}


def check_room(needed: int, words: str) -> None:
    """Raises Conflict where fewer than `needed` bytes are free for models. `words`: "are needed", "may be needed"."""
    free = shutil.disk_usage(settings.MODELS_DIR).free
    if free < needed:
        raise Conflict(
            f"{free / 2**30:.1f} GiB are free where the models lie; {needed / 2**30:.1f} GiB {words}.", code="disk_full"
        )


def open_jobs() -> models.QuerySet[ModelJob]:
    return ModelJob.objects.filter(state__in=LIVE)


def stop(job_id: int) -> None:
    """End a job that is not done; its worker finds out at its next mark of progress. Raises NotFound."""
    stopped = open_jobs().filter(pk=job_id)
    if not stopped.update(state=JobState.CANCELLED, fence=F("fence") + 1, finished_at=timezone.now(), lease_until=None):
        raise NotFound


def send(job: ModelJob) -> None:
    """Tell a worker; when the transport is away, the sweeper does so later."""
    task = EVALUATE_TASK if job.kind == JobKind.EVALUATE else TASK
    try:
        current_app.send_task(task, args=[job.pk], retry=False, expires=60)  # the sweeper sends again
    except (OperationalError, redis.RedisError, OSError) as error:
        logger.warning("model job %s waits for the sweeper: %s", job.pk, error)


def resend() -> int:
    """Send jobs that nobody works on: never begun, or begun by a worker that is gone."""
    found = list(leases.overdue(open_jobs()))
    for job in found:
        send(job)
    return len(found)


def carry_out(job_id: int, work: Work) -> None:
    """Do a job, if nobody else does. What goes wrong stands in its row; twice begun and not ended, it is given up."""
    job = leases.claim(open_jobs(), job_id, seconds=LEASE_SECONDS)
    if job is None:
        return
    if job.attempt > LAST_ATTEMPT:
        _end(job, JobState.FAILED, "The worker ended before the job did; there may be too little memory.")
        return
    ModelJob.objects.filter(pk=job.pk, fence=job.fence).update(state=JobState.RUNNING)
    with observability.context(actor=job.by, origin=f"task:models.{job.kind}"), _kept(job):
        try:
            result = work(job, _Marks(job))
        except leases.LeaseLost:
            return
        except (InferenceError, AssistantError, FileExistsError) as error:
            told = in_full(error)
            _end(job, JobState.REFUSED if isinstance(error, QuantizationRefused) else JobState.FAILED, told)
        except OSError as error:
            _end(job, JobState.FAILED, f"A file could not be read or written: {error.strerror or error}.")
        except MemoryError:
            _end(job, JobState.FAILED, str(OutOfMemory("There is too little memory.")))
        else:
            _end(job, JobState.DONE, result=result)


def _end(job: ModelJob, state: JobState, problem: str = "", result: dict[str, Any] | None = None) -> None:
    ModelJob.objects.filter(pk=job.pk, fence=job.fence).update(
        state=state, problem=problem[:2000], result=result or {}, finished_at=timezone.now(), lease_until=None
    )


@contextmanager
def _kept(job: ModelJob) -> Iterator[None]:
    """Keep the lease while one step takes long: reading fifteen gigabytes, say."""
    over = threading.Event()

    def keep() -> None:
        try:
            while not over.wait(KEEP_SECONDS):
                leases.renew(job, seconds=LEASE_SECONDS)
        except leases.LeaseLost:
            pass  # the next mark of progress finds out
        finally:
            connections.close_all()

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Marks:
    """Writes progress into the row now and then, and keeps the lease. Raises LeaseLost."""

    def __init__(self, job: ModelJob) -> None:
        self._job, self._next = job, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() < self._next and done < total:
            return
        self._next = time.monotonic() + TELL_SECONDS
        leases.renew(self._job, seconds=LEASE_SECONDS)
        ModelJob.objects.filter(pk=self._job.pk).update(stage=stage, progress=round(100 * done / max(1, total)))
