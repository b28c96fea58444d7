"""kill -9 of the process that reads a document, at every step: nothing lost, nothing twice, nothing half."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from assistant.audit.models import AuditEvent
from assistant.documents import ingestion
from assistant.documents.models import Chunk, DocumentVersion, IndexEvent, Page, Status

from .conftest import POLICY
from .hashing import EMBEDDER

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ("parse_file", "chunk_document", "_write_pages", "_write_chunks", "index_events.append", "_record")


def dies_at(step: str) -> None:
    """Replace the step by one that runs and then kills its process."""
    *path, name = step.split(".")
    home = getattr(ingestion, path[0]) if path else ingestion
    real = getattr(home, name)

    def last(*args, **kwargs):
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(home, name, last)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_is_followed_by_one_that_finishes(world, monkeypatch, step):
    monkeypatch.setattr("assistant.engines.embedder", lambda: EMBEDDER)
    document = world.upload(world.handbook, "travel.md", POLICY)
    pk = document.latest.pk
    connections.close_all()  # a connection must not be shared with the child
    child = os.fork()
    if child == 0:
        try:
            dies_at(step)
            ingestion.ingest(pk)
        finally:
            os._exit(3)  # it should not have lived this long
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    assert not Chunk.objects.exists()
    assert not Page.objects.exists()
    assert not IndexEvent.objects.exists()
    left = DocumentVersion.objects.get()
    assert (left.status, left.attempt) == (Status.PROCESSING, 1)
    assert ingestion.ingest(pk) is None  # the dead worker's lease still runs
    DocumentVersion.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert isinstance(ingestion.ingest(pk), ingestion.Ready)
    assert list(IndexEvent.objects.values_list("seq", flat=True)) == [1]
    assert Chunk.objects.filter(document=document).count() == Chunk.objects.count() == 1
    assert AuditEvent.objects.filter(action="document.ready").count() == 1
