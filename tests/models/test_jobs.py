"""One live job for each kind of work and target, whoever asks at the same moment. Runs on both databases."""

from __future__ import annotations

import importlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, connections, transaction

from assistant import tasks
from assistant.errors import Conflict
from assistant.models import LIVE, JobKind, JobState, ModelJob
from assistant.registry import importing, jobs
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 6


@pytest.fixture
def drop(settings, tmp_path, qwen2_folder):  # noqa: F811
    """A drop folder with several models, each its own."""
    settings.MODELS_DIR, settings.MODELS_DROP_DIR = tmp_path / "models", tmp_path / "incoming"
    for at in range(AT_ONCE):
        shutil.copytree(qwen2_folder, settings.MODELS_DROP_DIR / f"laid{at}")
        (settings.MODELS_DROP_DIR / f"laid{at}" / "README.md").write_text(f"Copy {at}.")
    return settings.MODELS_DROP_DIR


def at_once(call):
    """What `call(at)` by several threads that leave one barrier together gave, or the Conflict it raised."""
    barrier = threading.Barrier(AT_ONCE)

    def one(at: int):
        try:
            barrier.wait(60)
            return call(at)
        except Conflict as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


def test_of_imports_of_one_name_at_the_same_moment_one_is_begun(drop):
    ends = at_once(lambda at: importing.begin(entry=f"laid{at}", name="brought", licence="MIT"))
    refused = [end for end in ends if isinstance(end, Conflict)]
    assert len(refused) == AT_ONCE - 1
    assert {(str(each), each.code) for each in refused} == {
        ("A model of that name is being imported already.", "under_way")
    }
    job = ModelJob.objects.get()
    assert job.name in {f"laid{at}" for at in range(AT_ONCE)}
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem) == (JobState.DONE, "")


def test_a_refused_job_leaves_the_transaction_around_it_whole():
    jobs.start(JobKind.IMPORT, target="brought", name="laid")
    with transaction.atomic():
        with pytest.raises(Conflict):
            jobs.start(JobKind.IMPORT, target="brought", name="laid")
        assert ModelJob.objects.count() == 1


def test_other_work_other_targets_and_what_has_ended_stand_in_nobodys_way():
    first = jobs.start(JobKind.IMPORT, target="brought", name="laid")
    jobs.start(JobKind.QUANTIZE, target="brought", name="big")
    jobs.start(JobKind.IMPORT, target="second", name="laid")
    jobs.stop(first.pk)
    jobs.start(JobKind.IMPORT, target="brought", name="laid")
    assert ModelJob.objects.filter(state__in=LIVE).count() == 3


def test_the_migration_ends_what_was_asked_for_twice():
    """Rows of the version before: two alike, and one of another kind."""
    migration = importlib.import_module("assistant.migrations.0004_one_live_job")
    constraint = ModelJob._meta.constraints[0]
    with connection.schema_editor() as editor:
        editor.remove_constraint(ModelJob, constraint)
    alike = {"kind": JobKind.IMPORT, "target": "brought", "name": "laid", "by": "system"}
    first, second = ModelJob.objects.create(**alike), ModelJob.objects.create(**alike, state=JobState.RUNNING)
    other = ModelJob.objects.create(**alike | {"kind": JobKind.QUANTIZE})
    migration.one_each(apps, None)
    with connection.schema_editor() as editor:
        editor.add_constraint(ModelJob, constraint)
    states = dict(ModelJob.objects.values_list("pk", "state"))
    assert states == {first.pk: JobState.QUEUED, second.pk: JobState.CANCELLED, other.pk: JobState.QUEUED}
    with pytest.raises(IntegrityError):
        ModelJob.objects.create(**alike)
