"""An administrator has the speed of an installed model measured by a worker, and reads the command's own figures."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from assistant import leases, observability, tasks
from assistant.audit.models import AuditEvent
from assistant.errors import Conflict, Invalid, NotFound, PermissionRefused
from assistant.models import JobState, ModelJob
from assistant.quality import administering
from assistant.registry import benchmarking, jobs
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.conftest import store  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_measures_what_the_command_measures(store, people, monkeypatch):  # noqa: F811
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    stages = []
    renew = leases.renew
    monkeypatch.setattr(
        leases,
        "renew",
        lambda row, **named: (stages.append(ModelJob.objects.get(pk=row.pk).stage), renew(row, **named))[1],
    )
    with observability.context(actor=f"user:{people.administrator.pk}"):
        job = administering.benchmark(people.administrator, "tiny", users=[1, 3], tokens=8)
    with pytest.raises(Conflict, match="being measured already"):
        administering.benchmark(people.administrator, "tiny")
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem, job.stage, job.progress) == (JobState.DONE, "", "timing", 100)
    assert {"loading", "timing"} <= set(stages)
    out = StringIO()
    call_command("models", "benchmark", "tiny", "--users", "1,3", "--tokens", "8", stdout=out, stderr=StringIO())
    command = json.loads(out.getvalue().splitlines()[-1])
    figures = job.result["figures"]
    assert list(figures) == list(command)
    assert {key: list(value) for key, value in figures.items() if key.startswith("users_")} == {
        key: list(command[key]) for key in ("users_1", "users_3")
    }
    assert figures["users_3"]["requests"] == 3
    assert figures["users_3"]["tokens"] <= 3 * 8
    assert figures["users_1"]["tokens_per_second"] > 0
    assert job.result["machine"]["cores"] >= 1
    assert job.result["digest"] == store.manifest("tiny").digest
    assert benchmarking.newest() == {store.manifest("tiny").digest: job}
    mine, by_command = AuditEvent.objects.filter(action="model.measured").order_by("seq")
    assert (mine.actor, mine.target_id, mine.detail["users"]) == (f"user:{people.administrator.pk}", "tiny", [1, 3])
    assert by_command.actor == "system"


def test_a_quantized_copy_is_held_against_its_original(store, people, settings):  # noqa: F811
    settings.MAX_PERPLEXITY_LOSS, settings.MIN_AGREEMENT = 1.0, 0.3
    tasks.work(administering.quantize(people.administrator, "tiny", recipe="int8").pk)
    job = administering.benchmark(people.administrator, "tiny-int8", users=[1], tokens=4)
    tasks.work(job.pk)
    job.refresh_from_db()
    assert job.result["figures"]["quantization"] == "int8"
    assert 0.3 <= job.result["figures"]["agreement"] <= 1


def test_a_benchmark_that_is_stopped_is_none(store, people, monkeypatch):  # noqa: F811
    """A person stops it while the clock runs; the answers under way end at their next step."""
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    job = administering.benchmark(people.administrator, "tiny", users=[2], tokens=1024)
    renew = leases.renew

    def stopped(row, **named):
        if ModelJob.objects.get(pk=row.pk).stage == "timing" and jobs.open_jobs().filter(pk=row.pk).exists():
            administering.stop(people.administrator, row.pk)
        return renew(row, **named)

    monkeypatch.setattr(leases, "renew", stopped)
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result) == (JobState.CANCELLED, {})
    assert benchmarking.newest() == {}
    assert not AuditEvent.objects.filter(action="model.measured").exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"users": []}, "users"),
        ({"users": [0]}, "users"),
        ({"users": [1, 129]}, "users"),
        ({"users": [1] * 7}, "users"),
        ({"tokens": 0}, "tokens"),
        ({"tokens": 1025}, "tokens"),
        ({"against": "tiny"}, "against"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_a_job_is_made(store, people, options, field):  # noqa: F811
    with pytest.raises(Invalid) as refusal:
        administering.benchmark(people.administrator, "tiny", **options)
    assert list(refusal.value.fields) == [field]
    assert not ModelJob.objects.exists()


def test_only_an_administrator_and_only_what_is_installed(store, people):  # noqa: F811
    with pytest.raises(NotFound):
        administering.benchmark(people.administrator, "absent")
    for person in (people.employee, people.curator, people.auditor):
        with pytest.raises(PermissionRefused):
            administering.benchmark(person, "tiny")
    assert not ModelJob.objects.exists()


def test_numbers_of_people_are_read_as_people_write_them():
    assert benchmarking.users_in("1, 8,32") == (1, 8, 32)
    assert benchmarking.users_in("1，8") == (1, 8)
    assert benchmarking.users_in("many") == (0,)
    assert benchmarking.users_in("") == (0,)
