"""Making a quantized model of an installed one: written, measured against the original, installed when it passes.

Knows the store, the audit log and the jobs that the models page starts; the work itself is `inference.quantizing`'s and
`inference.nearness`'s. Only workers and commands call `quantize`; the models page calls `begin` and `stop`.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import redis
from celery import current_app
from django.conf import settings
from django.db import connections, models, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from assistant import engines, leases, observability
from assistant.audit import services as audit
from assistant.errors import AssistantError, Conflict, Invalid, NotFound
from assistant.models import JobState, ModelJob
from inference.errors import InferenceError, OutOfMemory, QuantizationRefused
from inference.store import Gate, Limits, Manifest

if TYPE_CHECKING:
    from inference.quantization import Quantization

logger = logging.getLogger(__name__)

RECIPES = ("nf4", "int8", "dynamic8")
TASK = "assistant.tasks.quantize"
LEASE_SECONDS = 100
KEEP_SECONDS = 30.0  # the lease is renewed this often, whatever the work is at
TELL_SECONDS = 1.0  # between two marks of progress
LAST_ATTEMPT = 2
_TEXTS = ("handbook/employee-handbook.md", "handbook/employee-manual-suzhou.md")

Told = Callable[[str, int, int], None]  # stage, done, of how many


def limits() -> Limits:
    """What the settings allow."""
    return Limits(settings.MAX_PERPLEXITY_LOSS, settings.MIN_AGREEMENT)


def quantize(
    *,
    name: str,
    recipe: str,
    target: str = "",
    text: Path | None = None,
    allowed: Limits | None = None,
    force: bool = False,
    told: Told = lambda stage, done, total: None,
) -> Manifest:
    """Install a quantized copy of a model, called `target` (else NAME-RECIPE), when it passes its gate.

    `text` is what both are measured on: a file in UTF-8, else pages of the demo company in two languages. A refusal is
    recorded, and so is what `force` let pass. Raises Invalid, FileExistsError, QuantizationRefused, OutOfMemory,
    ModelNotFound, ModelCorrupt.
    """
    target = target or f"{name}-{recipe}"
    _source(name, recipe)
    store = engines.store()
    store.check_free(target)
    manifest = store.verify(name)
    folder = store.folder(name)
    measured_on = words(text)

    def make(into: Path) -> Gate:
        from inference import loading, nearness, quantizing

        device = _device(folder, recipe)
        quantizing.quantize(
            folder,
            into,
            cast("Quantization", recipe),
            device=device,
            told=partial(told, "writing"),
        )
        loaded = loading.load(into, device=device)
        found = nearness.measure(
            folder, loaded, measured_on[1], told=lambda done, total: told("measuring", done, total)
        )
        gate = Gate(
            **asdict(found),
            text=measured_on[0],
            text_sha256=hashlib.sha256(measured_on[1].encode()).hexdigest(),
            **asdict(allowed or limits()),
        )
        return _judged(target, manifest, gate, recipe, force)

    made = store.derive(manifest, target, make, by=observability.current().actor)
    assert made.gate is not None
    audit.record(
        action="model.changed",
        target=("model", target),
        detail={**_detail(manifest, recipe, made.gate), "digest": made.digest, "size": made.size},
    )
    return made


def _source(name: str, recipe: str) -> Manifest:
    if recipe not in RECIPES:
        raise Invalid("The recipe must be nf4, int8 or dynamic8.")
    manifest = engines.store().manifest(name)
    if manifest.kind != "safetensors" or manifest.recipe:
        raise QuantizationRefused(
            f"{name} is quantized already ({manifest.recipe or manifest.kind}).",
            hint="Quantize the unquantized model, in safetensors.",
        )
    free, needed = shutil.disk_usage(settings.MODELS_DIR).free, manifest.size
    if free < needed:
        raise Conflict(
            f"{free / 2**30:.1f} GiB are free where the models lie; {needed / 2**30:.1f} GiB may be needed.",
            code="disk_full",
        )
    return manifest


def words(path: Path | None) -> tuple[str, str]:
    """(name, text) to measure on."""
    if path is None:
        content = settings.BASE_DIR / "assistant" / "demo" / "content"
        return "demo company", "\n\n".join((content / each).read_text(encoding="utf-8") for each in _TEXTS)
    try:
        return path.name, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read as UTF-8 text: {error}.") from error


def _device(folder: Path, recipe: str) -> str:
    """Where the quantized model is measured: the GPU when there is one with room beside what runs there."""
    from inference import loading

    device = loading.default_device()
    roomy = loading.needed_bytes(folder, cast("Quantization", recipe)) <= loading.free_bytes(device)
    return device if roomy and recipe != "dynamic8" else "cpu"


def _judged(target: str, manifest: Manifest, gate: Gate, recipe: str, force: bool) -> Gate:
    """The gate, forced if it has to be and may be. Raises QuantizationRefused, on record."""
    if force and not gate.passed:
        return Gate(**{**asdict(gate), "forced": True})
    try:
        gate.check(target)
    except QuantizationRefused:
        audit.record(
            action="model.changed", outcome="refused", target=("model", target), detail=_detail(manifest, recipe, gate)
        )
        raise
    return gate


def _detail(parent: Manifest, recipe: str, gate: Gate) -> dict[str, object]:
    return {
        "change": "quantized",
        "parent": parent.digest,
        "licence": parent.licence,
        "recipe": recipe,
        "loss": round(gate.loss, 5),
        **asdict(gate),
    }


# Jobs


def begin(*, name: str, recipe: str, allowed: Limits, force: bool = False) -> ModelJob:
    """A job for a worker. Raises Invalid, Conflict, FileExistsError, QuantizationRefused, ModelNotFound."""
    _source(name, recipe)
    target = f"{name}-{recipe}"
    engines.store().check_free(target)
    with transaction.atomic():
        if open_jobs().filter(target=target).exists():
            raise Conflict("This copy is being made already.")
        job = ModelJob.objects.create(
            name=name,
            recipe=recipe,
            target=target,
            max_loss=allowed.max_loss,
            min_agreement=allowed.min_agreement,
            force=force,
            by=observability.current().actor,
        )
        transaction.on_commit(lambda: send(job.pk))
    return job


def open_jobs() -> models.QuerySet[ModelJob]:
    return ModelJob.objects.filter(state__in=(JobState.QUEUED, JobState.RUNNING))


def stop(job_id: int) -> None:
    """End a job that is not done; its worker finds out at its next mark of progress. Raises NotFound."""
    stopped = open_jobs().filter(pk=job_id)
    if not stopped.update(
        state=JobState.FAILED,
        problem="It was stopped.",
        fence=F("fence") + 1,
        finished_at=timezone.now(),
        lease_until=None,
    ):
        raise NotFound


def send(job_id: int) -> None:
    """Tell a worker; when the transport is away, the sweeper does so later."""
    try:
        current_app.send_task(TASK, args=[job_id], retry=False, expires=60)  # the sweeper sends again
    except (OperationalError, redis.RedisError, OSError) as error:
        logger.warning("model job %s waits for the sweeper: %s", job_id, error)


def resend() -> int:
    """Send jobs that nobody works on: never begun, or begun by a worker that is gone."""
    found = list(leases.overdue(open_jobs()).values_list("pk", flat=True))
    for job_id in found:
        send(job_id)
    return len(found)


def carry_out(job_id: int) -> None:
    """Do a job, if nobody else does. What goes wrong stands in its row; twice begun and not ended, it is given up."""
    job = leases.claim(open_jobs(), job_id, seconds=LEASE_SECONDS)
    if job is None:
        return
    if job.attempt > LAST_ATTEMPT:
        _end(job, JobState.FAILED, "The worker ended before the job did; there may be too little memory.")
        return
    ModelJob.objects.filter(pk=job.pk, fence=job.fence).update(state=JobState.RUNNING)
    marks = _Marks(job)
    with observability.context(actor=job.by, origin="task:models.quantize"), _kept(job):
        try:
            quantize(
                name=job.name,
                recipe=job.recipe,
                target=job.target,
                allowed=Limits(job.max_loss, job.min_agreement),
                force=job.force,
                told=marks,
            )
        except leases.LeaseLost:
            return
        except (InferenceError, AssistantError, FileExistsError) as error:
            told = f"{error} {getattr(error, 'hint', '')}".strip()
            _end(job, JobState.REFUSED if isinstance(error, QuantizationRefused) else JobState.FAILED, told)
        except MemoryError:
            _end(job, JobState.FAILED, str(OutOfMemory("There is too little memory.")))
        else:
            _end(job, JobState.DONE)


def _end(job: ModelJob, state: JobState, problem: str = "") -> None:
    ModelJob.objects.filter(pk=job.pk, fence=job.fence).update(
        state=state, problem=problem[:2000], finished_at=timezone.now(), lease_until=None
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
