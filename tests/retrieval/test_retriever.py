"""Search is exact, complete, and blind to what may not be read."""

import threading
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import RetrieverOptions
from retrieval.errors import IndexMismatch
from retrieval.indexes.dense import GRID, on_grid
from retrieval.retriever import PLANS, Replica
from retrieval.schema import IndexRecord
from tests.retrieval.worlds import DIMENSION, WORDS, oracle, record, vector

OPTIONS = RetrieverOptions(candidates=4)  # few, so that cuts and ties between candidates are exercised

texts = st.lists(st.sampled_from(WORDS), min_size=0, max_size=8).map(" ".join)
# (document, partition, [(text, vector seed)]); few seeds, so that equal vectors and equal scores are common
updates = st.tuples(
    st.integers(1, 9), st.integers(1, 4), st.lists(st.tuples(texts, st.integers(0, 5)), min_size=0, max_size=5)
)
queries = st.tuples(texts, st.integers(0, 7), st.sets(st.integers(1, 5), max_size=4), st.integers(1, 6))


def documents_of(changes):
    world = {}
    for number, partition, passages in changes:
        name = f"d{number}"
        world[name] = [record(name, i, partition, text, seed) for i, (text, seed) in enumerate(passages)]
    return world


def replica_of(changes):
    replica = Replica(DIMENSION, "test", OPTIONS)
    for number, partition, passages in changes:
        name = f"d{number}"
        replica.apply(name, [record(name, i, partition, text, seed) for i, (text, seed) in enumerate(passages)])
    return replica


@settings(max_examples=80, deadline=None)
@given(
    st.lists(updates, max_size=25),
    st.lists(queries, min_size=1, max_size=4),
    st.sampled_from([0, 1, 4]),
    st.sampled_from([0, 1_000]),
)
def test_search_equals_brute_force_after_any_history(changes, questions, few, certain):
    with (
        mock.patch("retrieval.retriever.FEW", few),
        mock.patch("retrieval.retriever.EXACT_ROWS", 0),
        mock.patch("retrieval.retriever.CERTAIN_ROWS", certain),
        mock.patch("retrieval.bm25._AT_ONCE", 5 * few),
    ):
        check_against_brute_force(changes, questions)
    check_against_brute_force(changes, questions)  # and as it runs, with so few rows


def check_against_brute_force(changes, questions):
    replica = replica_of(changes)
    world = [item for records in documents_of(changes).values() for item in records]
    assert len(replica) == len(world)
    assert replica.partitions() == {item.partition for item in world}
    for text, seed, partitions, per_document in questions:
        hits = replica.search(text, vector(seed), partitions=partitions, limit=5, per_document=per_document)
        expected = oracle(world, text, vector(seed), partitions, OPTIONS, 5, per_document)
        assert [(hit.chunk_id, hit.score) for hit in hits] == expected


@settings(max_examples=80, deadline=None)
@given(
    st.lists(updates, max_size=12),
    st.lists(updates, max_size=12),
    st.lists(updates, max_size=12),
    queries,
    st.randoms(use_true_random=False),
)
def test_other_partitions_change_no_bit_of_a_result(mine, theirs, others, question, random):
    def world(foreign):
        # the readable documents are the same in both worlds; the foreign ones differ in everything
        own = [(number, 1 + partition % 2, passages) for number, partition, passages in mine]
        away = [(100 + number, 50 + partition, passages) for number, partition, passages in foreign]
        mixed = list(away)
        for change in own:
            # keep the order of updates to one document, shuffle between foreign ones
            mixed.insert(random.randint(0, len(mixed)), change) if change[0] not in {c[0] for c in mixed} else (
                mixed.append(change)
            )
        return replica_of(mixed)

    text, seed, _, per_document = question
    first, second = (
        world(foreign).search(text, vector(seed), partitions={1, 2}, limit=5, per_document=per_document)
        for foreign in (theirs, others)
    )
    assert first == second


@settings(max_examples=60, deadline=None)
@given(st.lists(updates, max_size=25), queries, st.randoms(use_true_random=False))
def test_any_order_of_updates_and_a_purge_equal_a_rebuild(changes, question, random):
    text, seed, partitions, per_document = question
    final = [(name, records) for name, records in documents_of(changes).items() if records]
    random.shuffle(final)
    rebuilt = Replica(DIMENSION, "test", OPTIONS)
    rebuilt.apply_many(final)
    lived = replica_of(changes)
    wanted = {"partitions": partitions, "limit": 50, "per_document": per_document}
    expected = rebuilt.search(text, vector(seed), **wanted)
    assert lived.search(text, vector(seed), **wanted) == expected
    lived.purge()
    assert lived.search(text, vector(seed), **wanted) == expected


def test_everything_readable_is_found_when_asked_for():
    replica = Replica(DIMENSION, "test", OPTIONS)
    for number in range(40):
        replica.apply(f"d{number}", [record(f"d{number}", i, number % 3, "pump", 1) for i in range(3)])
    hits = replica.search("pump", vector(1), partitions=[0, 2], limit=1000, per_document=3)
    readable = {n * 1000 + i for n in range(40) if n % 3 != 1 for i in range(3)}
    assert {hit.chunk_id for hit in hits} == readable
    assert [(h.document_id, h.chunk_id) for h in hits] == sorted((h.document_id, h.chunk_id) for h in hits)


def test_no_partitions_means_nothing():
    replica = replica_of([(1, 1, [("pump", 1)])])
    assert replica.search("pump", vector(1), partitions=[], limit=5, per_document=5) == []
    assert replica.search("pump", vector(1), partitions=[2], limit=5, per_document=5) == []


def test_a_moved_document_is_found_only_where_it_is_now():
    replica = replica_of([(1, 1, [("pump", 1)]), (1, 2, [("pump", 1)])])
    assert replica.search("pump", vector(1), partitions=[1], limit=5, per_document=5) == []
    assert len(replica.search("pump", vector(1), partitions=[2], limit=5, per_document=5)) == 1


def test_at_most_so_many_passages_of_one_document():
    replica = replica_of([(1, 1, [("pump valve", 1)] * 5), (2, 1, [("board", 2)])])
    hits = replica.search("pump", vector(1), partitions=[1], limit=3, per_document=2)
    assert [hit.document_id for hit in hits] == ["d1", "d1", "d2"]


@pytest.mark.parametrize(
    "records",
    [
        [record("d2", 0, 1, "pump", 1)],
        [record("d1", 0, 1, "pump", 1), record("d1", 1, 2, "pump", 1)],
        [record("d1", 0, 1, "pump", 1), record("d1", 0, 1, "valve", 1)],
    ],
)
def test_unfit_records_are_refused_and_change_nothing(records):
    replica = replica_of([(1, 1, [("board", 1)])])
    with pytest.raises(IndexMismatch):
        replica.apply("d1", records)
    assert len(replica.search("board", vector(1), partitions=[1], limit=5, per_document=5)) == 1


def test_a_query_of_another_size_or_not_finite_is_refused():
    replica = replica_of([(1, 1, [("board", 1)])])
    for query in (np.zeros(DIMENSION + 1), np.full(DIMENSION, np.nan)):
        with pytest.raises(IndexMismatch):
            replica.search("board", query, partitions=[1], limit=5, per_document=5)


def test_readers_see_old_or_new_rows_but_never_a_mixture():
    replica = Replica(DIMENSION, "test", OPTIONS)
    versions = [[record("d1", i, 1, f"pump v{v}", v) for i in range(6)] for v in (1, 2)]
    replica.apply("d1", versions[0])
    possible = []
    for records in versions:
        replica.apply("d1", records)
        possible.append(replica.search("pump", vector(1), partitions=[1], limit=6, per_document=6))
    faults: list[object] = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            hits = replica.search("pump", vector(1), partitions=[1], limit=6, per_document=6)
            if hits not in possible:
                faults.append(hits)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(100):
        replica.apply("d1", versions[turn % 2])
        replica.apply(f"d{turn + 2}", [record(f"d{turn + 2}", 0, 2, "pump", 3)])
    stop.set()
    for reader in readers:
        reader.join()
    assert not faults


def test_compaction_and_purge_beside_updates_change_no_result(monkeypatch):
    monkeypatch.setattr("retrieval.retriever.APPLY_ROWS", 4)  # so that large merges are left to compaction
    replica = Replica(DIMENSION, "test", OPTIONS)
    world = {}
    stop = threading.Event()

    def keep_house():
        while not stop.is_set():
            replica.compact()
            replica.purge()

    keeper = threading.Thread(target=keep_house)
    keeper.start()
    random = np.random.default_rng(11)
    for _ in range(150):
        name = f"d{random.integers(1, 40)}"
        words = [" ".join(random.choice(WORDS, 4)) for _ in range(int(random.integers(0, 4)))]
        world[name] = [record(name, i, 1, w, i) for i, w in enumerate(words)]
        replica.apply(name, world[name])
    stop.set()
    keeper.join()
    left = [item for records in world.values() for item in records]
    expected = oracle(left, "pump 请假", vector(2), {1}, OPTIONS, 10, 2)
    hits = replica.search("pump 请假", vector(2), partitions={1}, limit=10, per_document=2)
    assert [(hit.chunk_id, hit.score) for hit in hits] == expected
    assert replica.count([1]) == len(replica) == len(left)
    replica.purge()
    assert sum(segment.rows for segment in replica.segments()) == len(left)


def test_a_search_over_many_rows_is_the_same_on_several_threads(monkeypatch):
    replica = replica_of([(n, 1, [("pump valve", n)]) for n in range(1, 10)])
    wanted = {"partitions": {1}, "limit": 5, "per_document": 1}
    alone = replica.search("pump", vector(3), **wanted)
    monkeypatch.setattr("retrieval.retriever.PARALLEL_ROWS", 1)
    monkeypatch.setattr("retrieval.retriever.EXACT_ROWS", 0)
    assert replica.search("pump", vector(3), **wanted) == alone


def test_what_was_worked_out_for_a_set_of_partitions_holds_until_the_next_change_and_no_longer():
    replica = replica_of([(1, 1, [("pump valve", 1)]), (2, 2, [("pump seal", 2)]), (3, 3, [("pump oil", 3)])])

    def found(*partitions):
        hits = replica.search("pump", vector(1), partitions=partitions, limit=5, per_document=1)
        return {hit.document_id for hit in hits}

    for _ in range(2):
        assert found(1, 2) == {"d1", "d2"}
        assert found(1) == {"d1"}  # a person whose grant was revoked names fewer, and gets no more
        assert found() == set()
    replica.apply("d1", [record("d1", 0, 3, "pump valve", 1)])  # moved
    assert found(1, 2) == {"d2"}
    assert found(3) == {"d1", "d3"}
    replica.apply("d2", [])  # removed
    assert found(1, 2) == set()
    assert replica.count([1, 2]) == 0
    replica.apply("d4", [record("d4", 0, 1, "pump", 1)])  # new
    assert found(1, 2) == {"d4"}


def test_what_is_remembered_of_sets_of_partitions_is_bounded():
    replica = replica_of([(n, n % 4 + 1, [("pump valve", n)]) for n in range(1, 10)])
    for number in range(3 * PLANS):
        replica.count([1, 2, 100 + number])
    assert len(replica._view._plans) <= PLANS
    assert replica.count([1, 2]) == sum(n % 4 + 1 in (1, 2) for n in range(1, 10))


def test_threads_that_ask_for_many_sets_at_once_get_each_their_own():
    replica = replica_of([(n, n, [("pump valve", n)]) for n in range(1, 10)])
    wrong = []

    def ask(first):
        for number in range(200):
            wanted = {first, (first + number) % 9 + 1}
            if replica.count(tuple(wanted)) != len(wanted):
                wrong.append(wanted)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_rows_nearer_to_each_other_than_float32_can_tell_are_told_apart_and_equal_ones_keep_their_order():
    """Whole numbers are the reference: components are multiples of 2^-15, those of the question of 2^-24."""
    dimension, rows = 64, 3000
    random = np.random.default_rng(7)
    centre = random.standard_normal(dimension)
    centre = on_grid(centre / np.linalg.norm(centre) / 2)
    steps = np.repeat(centre[None], rows, axis=0)
    for row in range(rows):  # one step up or down in a few places: scores differ by some 10^-9, or not at all
        steps[row, random.integers(0, dimension, 2)] += random.integers(-1, 2, 2).astype(np.int16)
    asked = random.standard_normal(dimension)
    question = (asked / np.linalg.norm(asked)).astype(np.float16)
    replica = Replica(dimension, "test")
    names = [f"d{row % 700:04}" for row in range(rows)]
    for name in sorted(set(names)):
        mine = [row for row in range(rows) if names[row] == name]
        replica.apply(
            name,
            [IndexRecord(row, name, 1, at, "", steps[row].astype(np.float32) / GRID) for at, row in enumerate(mine)],
        )
    replica.tidy()
    whole = [int(value * 2**24) for value in question.tolist()]
    scores = [sum(a * b for a, b in zip(step, whole, strict=True)) for step in steps.tolist()]
    order = sorted(range(rows), key=lambda row: (-scores[row], names[row], row))
    as_float32 = (steps.astype(np.float32) / GRID) @ question.astype(np.float32)
    assert len(set(scores)) > len(set(as_float32.tolist())), "float32 tells them all apart: a poor example"
    for limit in (1, 10, 100):
        hits = replica.search("", question, partitions=[1], limit=limit, per_document=rows, dense_weight=1.0)
        assert [hit.chunk_id for hit in hits] == order[:limit]
