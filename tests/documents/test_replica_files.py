"""The replica's files: written while others search, whole or absent after any crash, free of what was erased."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
import pytest
from django.db import connection

from assistant.documents import index_events, services
from assistant.documents import replica as replicas
from assistant.documents.replica import DocumentReplica
from assistant.documents.search import Searcher
from retrieval.indexes import snapshot
from retrieval.retriever import Replica
from retrieval.schema import IndexRecord

pytestmark = pytest.mark.django_db(transaction=True)


def again(replica: DocumentReplica) -> DocumentReplica:
    """Another process over the same folder."""
    return DocumentReplica(dimension=replica.index.dimension, model_id=replica.model_id, folder=replica._folder)


def everything(index: Replica):
    vector = np.ones(index.dimension) / index.dimension**0.5
    return index.search("salary flights", vector, partitions=index.partitions(), limit=50, per_document=50)


@pytest.fixture
def slow_disk(monkeypatch):
    """Snapshots that stop before their first byte: (begun, go on)."""
    begun, proceed = threading.Event(), threading.Event()
    real = replicas.save_snapshot

    def slow(*given, **named):
        begun.set()
        assert proceed.wait(60)
        real(*given, **named)

    monkeypatch.setattr(replicas, "save_snapshot", slow)
    yield begun, proceed
    proceed.set()


def save_in_background(replica):
    said: list[bool] = []

    def save():
        try:
            said.append(replica.save())
        finally:
            connection.close()

    thread = threading.Thread(target=save)
    thread.start()
    return thread, said


def test_searches_and_updates_go_on_while_a_snapshot_is_written(world, library, replica, embedder, slow_disk):
    begun, proceed = slow_disk
    replica.catch_up()
    mark = replica.seq
    thread, said = save_in_background(replica)
    assert begun.wait(60)
    services.update_document(actor=world.people.administrator, document=library["salary"], title="Zebra pay")
    searcher = Searcher(embedder=embedder, replica=replica)
    first = searcher.search(user=world.people.employee, text="zebra").passages[0]
    assert first.chunk.document.title == "Zebra pay"
    proceed.set()
    thread.join(60)
    assert said == [True]
    follower = again(replica)
    assert follower._restore()
    assert follower.seq == mark  # the file is of the moment it was begun
    follower.catch_up()
    assert everything(follower.index) == everything(replica.index)


def test_a_snapshot_overtaken_by_a_deletion_is_thrown_away(world, library, replica, slow_disk):
    begun, proceed = slow_disk
    replica.catch_up()
    thread, said = save_in_background(replica)
    assert begun.wait(60)
    services.delete(actor=world.people.administrator, document=library["roadmap"])
    replica.catch_up()
    proceed.set()
    thread.join(60)
    assert said == [False]
    assert not list(replica._folder.iterdir())
    assert replica.save()


def test_what_a_dead_process_left_half_written_goes_with_the_next_deletion_or_start(world, library, replica):
    replica.catch_up()
    replica.save()
    for name in (".replica.snapshot.99.abc", "replica.snapshot.99"):
        (replica._folder / name).write_bytes(b"half a snapshot")
    assert again(replica)._restore()
    assert sorted(path.name for path in replica._folder.iterdir()) == ["replica.mark", "replica.snapshot"]
    (replica._folder / "replica.snapshot.99").write_bytes(b"half a snapshot")
    services.delete(actor=world.people.administrator, document=library["roadmap"])
    replica.catch_up()
    assert not list(replica._folder.iterdir())


def test_killed_at_any_line_of_saving_the_next_start_equals_a_rebuild(world, library, replica, embedder):
    """The child dies at its n-th executed line of the two modules that write, for every n until one survives."""
    replica.catch_up()
    replica.save()
    services.update_document(actor=world.people.administrator, document=library["salary"], title="Zebra pay")
    replica.catch_up()
    expected = everything(replica.index)
    assert expected
    files = {replicas.__file__, snapshot.__file__}
    kept = {path: path.read_bytes() for path in replica._folder.iterdir()}
    deaths = 0
    for line in range(1, 2000):
        for path in replica._folder.iterdir():
            path.unlink()
        for path, data in kept.items():
            path.write_bytes(data)
        child = os.fork()
        if child == 0:
            _die_at(line, files)
            replica.save()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        follower = again(replica)
        if line % 25 == 0 or not os.WIFSIGNALED(status):
            follower.catch_up()
            assert everything(follower.index) == expected, line
        elif follower._restore():  # the old pair or the new one, nothing between
            assert follower.seq in (replica.seq - 1, replica.seq), line
            assert len(follower.index) == len(replica.index)
        if not os.WIFSIGNALED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        deaths += 1
    assert deaths > 60


def _die_at(line: int, files: set[str]) -> None:
    left = [line]

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def test_two_workers_of_one_host_and_one_of_another_agree_with_a_rebuild(world, library, replica, tmp_path):
    second = again(replica)
    boss = world.people.administrator
    for turn in range(4):
        services.update_document(actor=boss, document=library["salary"], title=f"Pay {turn}")
        for worker in (replica, second) if turn % 2 else (second, replica):
            worker.catch_up()
            worker.save()
    services.move(actor=boss, document=library["policy"], collection=world.board)
    elsewhere = DocumentReplica(dimension=second.index.dimension, model_id=second.model_id, folder=tmp_path / "away")
    third = again(replica)
    results = []
    for worker in (replica, second, third, elsewhere):
        worker.catch_up()
        results.append(everything(worker.index))
    assert results[0]
    assert all(result == results[0] for result in results)
    assert {worker.seq for worker in (replica, second, third, elsewhere)} == {index_events.last_seq()}


def test_not_ready_before_it_has_caught_up(world, library, replica):
    replica.catch_up()
    replica.save()
    services.update_document(actor=world.people.administrator, document=library["salary"], title="Pay")
    late = again(replica)
    assert not late.status()["replica_ready"]
    late._restore()
    assert (late.status()["replica_ready"], late.status()["lag"]) == (False, 1)
    late.catch_up()
    assert (late.status()["replica_ready"], late.status()["lag"]) == (True, 0)


def test_a_rebuild_reads_every_document_once_whatever_its_scope(world, library, replica, monkeypatch):
    monkeypatch.setattr(replicas, "_DOCUMENTS", 1)
    services.grant_document(
        actor=world.people.administrator, document=library["salary"], principal="everyone", access="reader"
    )
    replica.catch_up()
    assert {hit.document_id for hit in everything(replica.index)} == {str(each.pk) for each in library.values()}


def test_a_frozen_replica_is_not_reached_by_later_changes(replica):
    index = Replica(4, "m")
    row = np.array([1, 0, 0, 0], dtype=np.float16)
    index.apply("d1", [IndexRecord(1, "d1", 1, 0, "pump", row)])
    index.apply("d2", [IndexRecord(2, "d2", 1, 0, "valve", row)])
    index.seq = 7
    frozen = index.frozen()
    index.apply("d1", [])
    index.seq = 8
    assert (frozen.seq, len(frozen), len(index)) == (7, 2, 1)
