"""An installed model is evaluated by a worker and then let answer, without a command line."""

from __future__ import annotations

import json

import pytest

from assistant import leases
from assistant.errors import Conflict, PermissionRefused
from assistant.models import JobState, ModelJob
from assistant.quality import evaluating, gate, services, tasks
from assistant.quality.models import GoldenRun, RunStatus
from assistant.registry import activation, jobs
from inference.errors import ModelNotFound
from tests.chat.questions import question
from tests.inference.models.conftest import qwen2_folder  # noqa: F401  (a fixture)
from tests.models.conftest import store, switch  # noqa: F401  (fixtures)

from .conftest import TEXT


@pytest.mark.django_db(transaction=True)
def test_a_worker_asks_the_golden_set_and_then_the_model_may_answer(store, switch, company, people, monkeypatch):  # noqa: F811
    services.replace(TEXT)
    boss = people.administrator
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    job = evaluating.begin(actor=boss, name="tiny")
    with pytest.raises(Conflict, match="evaluated already"):
        evaluating.begin(actor=boss, name="tiny")
    tasks.evaluate(job.pk)
    job.refresh_from_db()
    run = GoldenRun.objects.get()
    assert (job.state, job.problem, job.progress, job.stage) == (JobState.DONE, "", 100, "asking")
    assert (job.result["run"], run.status, run.recipe) == (run.pk, RunStatus.DONE, "auto")
    assert gate.activate(actor=boss, name="tiny").name == "tiny"
    assert activation.active_name() == "tiny"


@pytest.mark.django_db(transaction=True)
def test_an_evaluation_that_is_stopped_counts_for_nothing(store, switch, company, people, monkeypatch):  # noqa: F811
    services.replace(TEXT)
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    job = evaluating.begin(actor=people.administrator, name="tiny")
    renew = leases.renew

    def stopped(row, **named):
        if ModelJob.objects.get(pk=job.pk).stage:
            jobs.open_jobs().filter(pk=job.pk).exists() and jobs.stop(job.pk)
        return renew(row, **named)

    monkeypatch.setattr(leases, "renew", stopped)
    tasks.evaluate(job.pk)
    assert ModelJob.objects.get().state == JobState.CANCELLED
    assert GoldenRun.objects.get().status == RunStatus.FAILED
    assert gate.evaluation(store.manifest("tiny").digest, "auto") is None


@pytest.mark.django_db
def test_what_cannot_be_evaluated_is_refused_before_a_job_is_made(store, people):  # noqa: F811
    with pytest.raises(Conflict, match="no golden set"):
        evaluating.begin(actor=people.administrator, name="tiny")
    services.replace(json.dumps(question(1, "Who?", answers=["I"])))
    with pytest.raises(ModelNotFound):
        evaluating.begin(actor=people.administrator, name="absent")
    with pytest.raises(PermissionRefused):
        evaluating.begin(actor=people.employee, name="tiny")
    assert not ModelJob.objects.exists()
