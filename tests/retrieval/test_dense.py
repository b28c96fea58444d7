"""Two planes of a vector: whole again bit for bit, and a first pass that stays within the slack it promises."""

import numpy as np
import pytest

from retrieval.indexes.dense import GRID, DenseIndex, on_grid
from retrieval.retriever import Replica
from retrieval.schema import IndexRecord

ROWS = 1200


def unit(seed, shape):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@pytest.mark.parametrize("dimension", [2, 8, 30, 32, 100, 384, 768])
@pytest.mark.parametrize("peak", [1.0, 5.0, 1000.0])
def test_the_first_pass_is_within_its_slack_for_every_size_and_shape(dimension, peak):
    values = unit(1, (ROWS, dimension))
    values[::7, 0] *= peak  # components up to 1, which leave little room for the others
    vectors = on_grid(values / np.linalg.norm(values, axis=1, keepdims=True))
    index = DenseIndex(vectors, np.arange(0, ROWS, 100))
    assert (index.matrix() == vectors).all()
    some = np.array([0, 5, 99, 100, 101, 1199])
    assert (index.vectors(some) == vectors[some]).all()
    query = unit(2, dimension).astype(np.float16).astype(np.float64)
    exact = vectors.astype(np.float64) @ query / GRID
    assert (index.exact(query, np.arange(ROWS)) == exact).all()
    alive = np.random.default_rng(3).random(ROWS) < 0.5
    for bitmap, right in ((None, np.ones(ROWS, dtype=bool)), (np.packbits(alive, bitorder="little"), alive)):
        scores, rows = index.top(query, index.scan(np.arange(ROWS // 100), bitmap), ROWS)
        assert sorted(rows.tolist()) == np.flatnonzero(right).tolist()
        assert np.abs(exact[rows] - scores).max() <= index.slack(float(np.linalg.norm(query)))
        assert index.slack(float(np.linalg.norm(query))) < 0.3


@pytest.mark.parametrize("dimension", [32, 384])
def test_the_nearest_of_many_are_those_of_a_plain_product(dimension):
    """Near ties, as real passages have them: clusters closer than the first pass can tell apart."""
    centres = unit(4, (8, dimension))
    points = np.repeat(centres, 1000, axis=0) + 0.02 * unit(5, (8000, dimension))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16)
    replica = Replica(dimension, "test")
    for start in range(0, 8000, 20):
        name = f"d{start}"
        rows = range(start, start + 20)
        replica.apply(name, [IndexRecord(row, name, start % 3, row, "", points[row]) for row in rows])
    query = points[17].astype(np.float64)
    owner = np.repeat(np.arange(0, 8000, 20) % 3, 20)
    for partitions in ([0], [0, 2], [0, 1, 2]):
        exact = on_grid(points).astype(np.float64) @ query / GRID
        readable = np.flatnonzero(np.isin(owner, partitions))
        best = sorted(readable.tolist(), key=lambda row: (-exact[row], f"d{row // 20 * 20}", row))[:50]
        hits = replica.search("", query, partitions=partitions, limit=50, per_document=50, dense_weight=1.0)
        assert [hit.chunk_id for hit in hits] == best
        assert [hit.dense for hit in hits] == exact[best].tolist()
