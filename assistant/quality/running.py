"""Carrying out a run: claim, ask one question after the other, save the numbers, compare with the reference.

A run in a worker is done in slices, so that people's questions are not kept waiting behind it; whoever takes the next
slice goes on after the last saved mark. Knows the order of things; does not know how a question is judged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from assistant import engines, leases, observability, version
from assistant.audit import services as audit
from assistant.chat import answering
from assistant.errors import AssistantError, Conflict
from assistant.registry import activation

from . import drift, services
from .judging import Asker
from .marks import Mark, summary
from .models import GoldenRun, RunStatus, Why
from .services import Answering

logger = logging.getLogger(__name__)

LEASE_SECONDS = 120
SLICE_SECONDS = 15.0
MAX_ATTEMPTS = 200  # slices, and workers that were lost
Tell = Callable[[int, int], None]


def carry_on(run_id: int, *, seconds: float = SLICE_SECONDS, tools: answering.Tools | None = None) -> bool:
    """A slice of the run; whether there is more to do. Quiet when it is finished, gone or in other hands."""
    run = leases.claim(services.queued(), run_id, seconds=LEASE_SECONDS)
    if run is None:
        return False
    with observability.context(actor="system", origin="task:quality.run"):
        try:
            if run.attempt > MAX_ATTEMPTS:
                raise Conflict("The run was begun too often without coming to its end.")
            more = _slice(run, seconds, tools, lambda done, count: None)
        except leases.LeaseLost:
            logger.info("golden run %s: another worker took over", run.pk)
            return False
        except AssistantError as error:
            _failed(run, error.detail)
            return False
        if more:
            GoldenRun.objects.filter(pk=run.pk, fence=run.fence).update(lease_until=None)
    return more


def whole(why: Why, *, tell: Tell) -> GoldenRun:
    """A run of what answers now, from beginning to end in this process. Raises Conflict without a golden set."""
    return _here(_row(why), answering.tools(), tell)


def candidate(name: str, quantization: str, *, tell: Tell) -> GoldenRun:
    """A run of an installed model that does not answer yet, in this process: loaded, asked, closed.

    Raises inference.errors.InferenceError, Conflict without a golden set.
    """
    manifest = engines.store().verify(name)
    row = _row(Why.ACTIVATION, Answering(activation.engine_of(manifest), name, manifest.digest, quantization))
    with closing(engines.open_beside(name, quantization)) as engine:
        return _here(row, replace(answering.tools(), engine=engine), tell)


def _row(why: Why, what: Answering | None = None) -> GoldenRun:
    """A run that no worker is told of; `what` is measured when it is not what answers."""
    questions = services.golden()
    if questions is None:
        raise Conflict(
            "There is no golden set yet. Write or upload its questions on the page “Quality”, or with "
            "manage.py evaluate FILE --save.",
            code="no_golden_set",
        )
    until = timezone.now() + leases.LONGEST  # ours, though not claimed yet
    by, known = observability.current().actor, asdict(what) if what else {}
    with transaction.atomic():
        run = GoldenRun.objects.create(questions=questions, why=why, by=by, lease_until=until, **known)
        services.record_begin(run)
    return run


def _here(row: GoldenRun, tools: answering.Tools, tell: Tell) -> GoldenRun:
    try:
        _slice(row, float("inf"), tools, tell)
    except AssistantError as error:
        _failed(row, error.detail)
        raise
    except BaseException:
        _failed(row, "It was stopped.")
        raise
    row.refresh_from_db()
    return row


def _slice(run: GoldenRun, seconds: float, tools: answering.Tools | None, tell: Tell) -> bool:
    """Ask until the time is over or everything is asked; whether something is left. Raises LeaseLost, Conflict."""
    until = time.monotonic() + seconds
    rows = services.rows(run.questions)
    if run.started_at is None:
        _started(run)
    elif run.why != Why.ACTIVATION:
        _still_answers(run)
    tools = tools or answering.tools()
    asker = Asker(rows, tools)
    marks = list(run.marks)
    while len(marks) < len(rows):
        if time.monotonic() >= until:
            return True
        marks.append(asker.mark(rows[len(marks)]).row())
        tell(len(marks), len(rows))
        ours = timezone.now() + leases.LONGEST
        kept = GoldenRun.objects.filter(pk=run.pk, fence=run.fence).update(marks=marks, lease_until=ours)
        if not kept:
            raise leases.LeaseLost(str(run.pk))
    _finished(run, [Mark.of(mark) for mark in marks])
    return False


def _started(run: GoldenRun) -> None:
    found = (
        Answering(run.engine, run.model, run.digest, run.recipe) if run.why == Why.ACTIVATION else services.answering()
    )
    with transaction.atomic():
        row = leases.hold(run)
        row.engine, row.model, row.digest, row.recipe = found.engine, found.model, found.digest, found.recipe
        row.status, row.started_at, row.code = RunStatus.RUNNING, timezone.now(), version.code()
        row.save()
    run.engine, run.model, run.digest, run.recipe = found.engine, found.model, found.digest, found.recipe


def _still_answers(run: GoldenRun) -> None:
    if services.answering() != Answering(run.engine, run.model, run.digest, run.recipe):
        raise Conflict("Another model was activated meanwhile: this run says nothing of either.")


def _finished(run: GoldenRun, marks: list[Mark]) -> None:
    """Figures, comparison and alarm, in one transaction with the record."""
    found = summary(marks)
    with transaction.atomic():
        row = leases.hold(run)
        if row.why != Why.ACTIVATION:
            _still_answers(row)
        before = services.reference(row.questions)
        changes = drift.compare([Mark.of(mark) for mark in before.marks], marks) if before else []
        row.status, row.summary, row.finished_at, row.lease_until = RunStatus.DONE, found, timezone.now(), None
        row.drift = [change.row() for change in changes]
        if row.why != Why.ACTIVATION:
            row.reference = before is None
            row.alarm = bool(found["leaks"]) or any(change.alarm for change in changes)
        row.save()
        told = {name: found[name] for name in ("questions", "ndcg", "f1", "silence", "leaks", "fallbacks")}
        audit.record(action="golden.run", target=("golden_run", str(row.pk)), detail={**_named(row), **told})
        if row.alarm:
            fallen = [change.measure for change in changes if change.alarm]
            audit.record(
                action="golden.drifted",
                target=("golden_run", str(row.pk)),
                detail={"reference": before.pk if before else 0, "measures": fallen, "leaks": found["leaks"]},
            )


def _failed(run: GoldenRun, words: str) -> None:
    with transaction.atomic():
        changed = services.unfinished().filter(pk=run.pk, fence=run.fence)
        if changed.update(status=RunStatus.FAILED, error=words[:500], finished_at=timezone.now(), lease_until=None):
            audit.record(action="golden.run", outcome="failed", target=("golden_run", str(run.pk)), detail=_named(run))


def _named(run: GoldenRun) -> dict[str, Any]:
    return {
        "questions_digest": run.questions.digest,
        "why": run.why,
        "engine": run.engine,
        "model": run.model,
        "digest": run.digest,
        "recipe": run.recipe,
    }
