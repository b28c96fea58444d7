"""Heartbeats outlive the database's restart: a broken connection costs one beat."""

import threading
import time

import pytest
from django.db import connection

from assistant import celery, engines, health
from assistant.documents import pulse
from assistant.documents import replica as replicas
from assistant.documents.models import DocumentVersion, Status
from assistant.models import ActivationState, ModelActivation
from assistant.registry import activation
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.conftest import store, switch  # noqa: F401 - fixtures

from .conftest import POLICY

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_thread(work):
    failures = []

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if failures:
        raise failures[0]


def broken():
    """This thread's connection, as a restart of the server leaves it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    def kill():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    in_a_thread(kill)


@pytest.fixture
def answers_worker(replica, monkeypatch):
    monkeypatch.setenv("ASSISTANT_WORKER", "answers")
    monkeypatch.setattr(replicas, "_replica", replica)
    replica.catch_up()


def test_a_worker_beats_on_when_the_database_was_restarted(answers_worker):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server that could restart")
    found = []

    def beats():
        broken()
        for _ in range(2):
            celery._beat()
            found.append(health.workers()[0]["replica_ready"])

    in_a_thread(beats)
    assert found == [False, True]


def test_a_beat_leaves_no_connection_behind(answers_worker):
    left = []

    def beat():
        celery._beat()
        left.append(connection.connection)

    in_a_thread(beat)
    assert left == [None]
    assert health.workers()[0]["replica_ready"]


def test_a_job_beats_on_when_the_database_was_restarted(world, monkeypatch):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server that could restart")
    monkeypatch.setattr(pulse, "_TICK", 0.05)
    monkeypatch.setattr(pulse, "_RENEW", 0.05)
    version = world.ready(world.handbook, "policy.md", POLICY).current
    DocumentVersion.objects.filter(pk=version.pk).update(status=Status.PROCESSING, lease_until=None)

    def renewed():
        DocumentVersion.objects.filter(pk=version.pk).update(lease_until=None)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if DocumentVersion.objects.values_list("lease_until", flat=True).get(pk=version.pk):
                return True
            time.sleep(0.05)
        return False

    with pulse.Pulse(version):
        assert renewed()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert renewed()


def test_a_chosen_model_is_loaded_before_anybody_asks(answers_worker, store, switch):  # noqa: F811
    grounds = activation.Grounds(reason="a test of the engine switch")
    row = activation.activate("tiny", quantization="none", grounds=grounds)
    celery._beat()  # a worker that has no engine yet loads none on its timer: it will begin with this one
    assert ModelActivation.objects.get(pk=row.pk).state == ActivationState.CHOSEN
    activation.deactivate()
    assert engines.engine().name == "extractive"
    row = activation.activate("tiny", quantization="none", grounds=grounds)
    celery._beat()
    end = time.monotonic() + 60
    while ModelActivation.objects.get(pk=row.pk).state == ActivationState.CHOSEN and time.monotonic() < end:
        time.sleep(0.05)
    assert ModelActivation.objects.get(pk=row.pk).state == ActivationState.ACTIVE
