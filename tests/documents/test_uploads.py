"""Accepting files: whole or not at all, once."""

from __future__ import annotations

import errno
import io
import os
import threading
import time

import pytest
from django.db import connection

from assistant.documents import services, storage, tasks
from assistant.documents.models import Document, DocumentVersion, Status
from assistant.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable

from .conftest import POLICY, ROADMAP, files_on_disk

pytestmark = pytest.mark.django_db(transaction=True)


def test_upload_stores_the_bytes_under_our_own_name_and_queues_one_job(world):
    document = world.upload(world.handbook, "../../etc/Travel_policy-2026.md", POLICY)
    version = document.latest
    assert version.status == Status.QUEUED
    assert version.size == len(POLICY)
    assert document.title == "Travel policy 2026"
    assert files_on_disk() == [version.stored]
    assert version.stored.startswith(f"{document.pk}/1-")
    assert b"business class" not in storage.path_of(version.stored).read_bytes()
    with storage.open_original(version.stored, version.file_key) as plain:
        assert plain.read() == POLICY
    assert storage.path_of(version.stored).stat().st_mode & 0o777 == 0o600


def test_the_same_bytes_in_a_collection_are_the_same_document(world):
    first = world.upload(world.handbook, "a.md", POLICY)
    again, created = services.upload(
        actor=world.people.curator, collection=world.handbook, file=io.BytesIO(POLICY), filename="b.md"
    )
    assert (again.pk, created) == (first.pk, False)
    elsewhere = world.upload(world.finance, "a.md", POLICY)
    assert elsewhere.pk != first.pk
    assert len(files_on_disk()) == 2


def test_uploading_a_file_again_after_a_failure_reads_it_again(world):
    document = world.upload(world.handbook, "a.md", POLICY)
    DocumentVersion.objects.update(status=Status.FAILED, error_code="parser_crashed", attempt=3)
    again = world.upload(world.handbook, "a.md", POLICY)
    assert again.pk == document.pk
    version = DocumentVersion.objects.get()
    assert (version.status, version.attempt, version.error_code) == (Status.QUEUED, 0, "")


def test_parallel_uploads_of_one_file_end_in_one_document(world):
    results, failures = [], []
    barrier = threading.Barrier(6)

    def run():
        try:
            barrier.wait(60)
            document, created = services.upload(
                actor=world.people.administrator, collection=world.board, file=io.BytesIO(ROADMAP), filename="r.md"
            )
            results.append((document.pk, created))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len({key for key, _ in results}) == 1
    assert sum(created for _, created in results) == 1
    assert Document.objects.count() == 1
    assert len(files_on_disk()) == 1


def test_too_large_empty_and_broken_uploads_leave_nothing(world, settings):
    settings.MAX_UPLOAD_BYTES = 1024 * 1024

    class Breaks(io.RawIOBase):
        def read(self, size=-1):
            if self.tell_me:
                raise ConnectionResetError("client went away")
            self.tell_me = True
            return b"half a file"

        tell_me = False

    for stream, failure in (
        (io.BytesIO(b"x" * (1024 * 1024 + 1)), TooLarge),
        (io.BytesIO(b""), Invalid),
        (Breaks(), ConnectionResetError),
    ):
        with pytest.raises(failure):
            services.upload(actor=world.people.administrator, collection=world.board, file=stream, filename="a.md")
    assert Document.objects.count() == 0
    assert files_on_disk() == []


def test_full_disk_is_one_clear_sentence_and_nothing_half(world, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable) as caught:
        world.upload(world.board, "a.md", POLICY)
    assert caught.value.code == "disk_full"
    assert caught.value.retryable
    assert files_on_disk() == []
    assert Document.objects.count() == 0


def test_a_failing_transaction_takes_its_file_along(world, monkeypatch):
    def unavailable(**_):
        raise Unavailable("audit")

    monkeypatch.setattr("assistant.documents.services.uploads.audit.record", unavailable)
    with pytest.raises(Unavailable):
        world.upload(world.board, "a.md", POLICY)
    assert Document.objects.count() == 0
    assert files_on_disk() == []


def test_only_who_manages_the_collection_may_upload_and_others_learn_nothing(world):
    for person in (world.people.employee, world.people.auditor, world.people.outsider):
        for collection in (world.handbook, world.finance, world.board):
            with pytest.raises(NotFound):
                world.upload(collection, "a.md", POLICY, actor=person)
    with pytest.raises(NotFound):
        world.upload(world.finance, "a.md", POLICY, actor=world.people.curator)
    world.upload(world.handbook, "a.md", POLICY, actor=world.people.curator)
    assert Document.objects.count() == 1


def test_replace_refuses_another_documents_content_and_notices_its_own(world):
    one = world.upload(world.handbook, "a.md", POLICY)
    two = world.upload(world.handbook, "b.md", ROADMAP)
    with pytest.raises(Conflict):
        services.replace(actor=world.people.curator, document=two, file=io.BytesIO(POLICY), filename="b.md")
    version, created = services.replace(
        actor=world.people.curator, document=one, file=io.BytesIO(POLICY), filename="a.md"
    )
    assert (version.number, created) == (1, False)
    version, created = services.replace(
        actor=world.people.curator, document=one, file=io.BytesIO(POLICY + b"More.\n"), filename="a.md"
    )
    assert (version.number, created) == (2, True)
    assert one.versions.get(number=1).error_code == "superseded"


def test_orphan_files_are_swept_and_owned_ones_stay(world):
    document = world.upload(world.handbook, "a.md", POLICY)
    lost = storage.path_of("0f3b5cf8-0000-4000-8000-000000000000/1-abc")
    half = storage.incoming() / "half"
    for path in (lost, half):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    tasks.remove_orphans()
    assert len(files_on_disk()) == 3  # too young to be judged
    old = time.time() - 7200
    for path in (lost, lost.parent, half, storage.path_of(document.latest.stored).parent):
        os.utime(path, (old, old))
    tasks.remove_orphans()
    assert files_on_disk() == [document.latest.stored]
