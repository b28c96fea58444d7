"""Small worlds of documents for the tests of search: records from words, an oracle that knows no index."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from retrieval.fusion import dense_share, fuse
from retrieval.indexes.dense import GRID, on_grid
from retrieval.schema import IndexRecord
from retrieval.text import tokenize

DIMENSION = 8
WORDS = "leave travel budget pump valve holiday 请假 报销 制度 AB-1234 2024-05-12 security board".split()  # noqa: SIM905


def vector(seed: int, dimension: int = DIMENSION) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(dimension)
    return (values / np.linalg.norm(values)).astype(np.float16)


def record(document_id: str, ordinal: int, partition: int, text: str, seed: int) -> IndexRecord:
    chunk_id = int(document_id.strip("d") or 0) * 1000 + ordinal
    return IndexRecord(chunk_id, document_id, partition, ordinal, text, vector(seed))


def oracle(records, query, query_vector, partitions, options, limit, per_document):
    """What `Replica.search` promises, computed from the readable records alone by brute force."""
    rows = sorted((r for r in records if r.partition in partitions), key=lambda r: (r.document_id, r.ordinal))
    if not rows:
        return []
    terms = Counter(tokenize(query))
    bags = [Counter(tokenize(r.text)) for r in rows]
    lengths = [sum(bag.values()) for bag in bags]
    mean = max(sum(lengths) / len(rows), 1.0)
    lexical = np.zeros(len(rows))
    for term, repeats in terms.items():
        df = sum(term in bag for bag in bags)
        if not df:
            continue
        idf = repeats * math.log(1.0 + (len(rows) - df + 0.5) / (df + 0.5))
        for i, bag in enumerate(bags):
            if bag[term]:
                tf = float(min(bag[term], 255))
                norm = options.k1 * (1.0 - options.b + options.b * (lengths[i] / mean))
                lexical[i] += idf * (tf * (options.k1 + 1.0) / (tf + norm))
    query64 = query_vector.astype(np.float16).astype(np.float64)
    dense = np.array([float(on_grid(r.vector).astype(np.float64) @ query64 / GRID) for r in rows])

    def best(values, n, positive):
        floor = sorted(values, reverse=True)[n - 1] if n <= len(values) else -math.inf
        return {i for i, v in enumerate(values) if v >= floor and (v > 0 or not positive)}

    depth = max(options.candidates, 2 * limit)
    while True:
        n = min(depth, len(rows))
        pool = sorted(best(dense, n, False) | best(lexical, n, True))
        share = dense_share(query, options.dense_weight)
        score = fuse(dense[pool], lexical[pool], share)
        order = sorted(range(len(pool)), key=lambda j: (-score[j], pool[j]))
        chosen, seen = [], Counter()
        for j in order:
            row = rows[pool[j]]
            if seen[row.document_id] < per_document and len(chosen) < limit:
                seen[row.document_id] += 1
                chosen.append((row.chunk_id, float(score[j])))
        if len(chosen) == limit or depth >= len(rows):
            return chosen
        depth *= 4
