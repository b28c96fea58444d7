"""A snapshot is the replica, or it is refused."""

from functools import partial

import numpy as np
import pytest

from assistant.vault import envelope, streams
from retrieval.errors import SnapshotError
from retrieval.indexes.dense import on_grid
from retrieval.indexes.snapshot import load_snapshot, save_snapshot
from retrieval.retriever import Replica
from tests.retrieval.worlds import DIMENSION, WORDS, record, vector


@pytest.fixture
def replica():
    random = np.random.default_rng(3)
    replica = Replica(DIMENSION, "test")
    for number in range(30):
        passages = range(int(random.integers(1, 5)))
        words = [" ".join(random.choice(WORDS, 6)) for _ in passages]
        replica.apply(f"d{number}", [record(f"d{number}", i, number % 4, words[i], number + i) for i in passages])
    replica.apply("d3", [])
    replica.seq = 31
    return replica


def search(replica, seed=1):
    return replica.search("pump 请假", vector(seed), partitions=[0, 1, 3], limit=20, per_document=4)


def test_a_restored_replica_answers_as_before_and_goes_on(replica, tmp_path):
    path = tmp_path / "replica"
    expected = search(replica)
    save_snapshot(replica, path)
    again = load_snapshot(path, model_id="test")
    assert (again.seq, len(again), again.options) == (31, len(replica), replica.options)
    assert search(again) == expected
    for each in (replica, again):
        each.apply("d4", [record("d4", 0, 1, "pump", 9)])
    assert search(again) == search(replica)


def test_an_empty_replica_has_a_snapshot_too(tmp_path):
    save_snapshot(Replica(DIMENSION, "test"), tmp_path / "replica")
    assert len(load_snapshot(tmp_path / "replica", model_id="test")) == 0


def test_any_flipped_bit_and_any_lost_byte_is_noticed(replica, tmp_path):
    path = tmp_path / "replica"
    save_snapshot(replica, path)
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    for position in [*range(40), *random.integers(0, len(whole), 100), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(SnapshotError):
            load_snapshot(path, model_id="test")
    for length in [0, 10, 50, *random.integers(0, len(whole), 30), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(SnapshotError):
            load_snapshot(path, model_id="test")


def test_a_missing_file_and_another_model_are_refused(replica, tmp_path):
    with pytest.raises(SnapshotError):
        load_snapshot(tmp_path / "none", model_id="test")
    save_snapshot(replica, tmp_path / "replica")
    with pytest.raises(SnapshotError):
        load_snapshot(tmp_path / "replica", model_id="other")


def test_a_failed_save_leaves_the_old_file_and_no_litter(replica, tmp_path, monkeypatch):
    path = tmp_path / "replica"
    save_snapshot(replica, path)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError("disk full")))
    replica.apply("d9", [])
    with pytest.raises(OSError, match="disk full"):
        save_snapshot(replica, path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["replica"]


def test_nothing_of_a_removed_passage_is_in_the_snapshot(tmp_path):
    replica = Replica(DIMENSION, "test")
    secret = record("d77", 0, 1, "unmistakable", 77)
    replica.apply_many([("d1", [record("d1", 0, 1, "pump", 1)]), ("d77", [secret])])
    replica.apply_many([(f"d{n}", [record(f"d{n}", 0, 1, "pump", n)]) for n in range(2, 10)])
    path = tmp_path / "replica"
    save_snapshot(replica, path)
    assert on_grid(secret.vector).tobytes() in path.read_bytes()
    replica.apply("d77", [])
    save_snapshot(replica, path)
    assert on_grid(secret.vector).tobytes() not in path.read_bytes()
    assert b"d77" not in path.read_bytes()


def test_the_file_is_private(replica, tmp_path):
    save_snapshot(replica, tmp_path / "replica")
    assert (tmp_path / "replica").stat().st_mode & 0o777 == 0o600


def test_sealed_file_comes_back_and_holds_nothing_readable(replica, tmp_path):
    path, secret = tmp_path / "replica", envelope.new_secret()
    save_snapshot(replica, path, sealing=partial(streams.SealedWriter, key=secret))
    assert b"model_id" not in path.read_bytes()
    again = load_snapshot(path, model_id="test", opening=partial(streams.pieces, key=secret))
    assert len(again) == len(replica)
    for wrong in (None, partial(streams.pieces, key=envelope.new_secret())):
        with pytest.raises(SnapshotError):
            load_snapshot(path, model_id="test", opening=wrong)
