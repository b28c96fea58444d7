"""Hybrid search by size and by how much a person may read, beside plain alternatives in the same run.

    python -m tests.benchmarks.search [--sizes 10000,100000,1000000] [--texts ARCHIVE ...] [--queries N] [--peers all]

Passages are those of the archives (`corpora`), combined until there are enough; vectors are points around real ones.
Without archives words follow Zipf's law. A thousand partitions of equal size; a person reads 1000, 100, 10 or 1.
Every question is put to every system in turn (`peers` says which, how each filters, and how to install the
optional ones), so that what else the machine does strikes all alike.

`ours` answers with both legs fused, `ours-words` and `ours-vectors` are its legs alone. `ratio` is an alternative's
median over that of our leg of the same kind, `ratio_hybrid` the quickest alternative of each leg added up, over `ours`.
`recall@10` is of our vectors against float32, which rounds neither rows nor question; `exact@10` against the same sum
over what the index holds, worked out without it: 1, ties included, or the index is at fault. `nearest_miss` is the
largest distance in score at which the two differ: rows nearer to each other than the rounding change places.

Memory is what the process grew by, everything included. What any process grows by at its first replica (libraries
loaded on first use, threads, word stems: tens of megabytes) is `first_mib`, and not divided among the passages. At a
million passages take `--peers none` or a machine with 16 GiB. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.bm25 import WordScores
from retrieval.indexes.dense import GRID, on_grid
from retrieval.indexes.snapshot import load_snapshot, save_snapshot
from retrieval.retriever import Replica, dense_candidates
from retrieval.schema import IndexRecord
from retrieval.text import tokenize
from tests.benchmarks import corpora
from tests.benchmarks.peers import Answer, all_peers, flat

DIMENSION = 384
PARTITIONS = 1000
PER_DOCUMENT = 20
VISIBLE = {"100%": 1000, "10%": 100, "1%": 10, "0.1%": 1}


class World:
    """Passages with partitions and vectors, and questions made of words that occur."""

    def __init__(self, size: int, corpus: corpora.Corpus, seed: int) -> None:
        self.size = size
        self.text = corpus.text
        self._random = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self.vectors = np.empty((size, DIMENSION), dtype=np.float16)
        for start in range(0, size, 10_000):
            end = min(size, start + 10_000)
            self.vectors[start:end] = corpus.vectors(start, end)

    def documents(self) -> Iterator[tuple[str, list[IndexRecord]]]:
        """Every document with its records, in an order that mixes the partitions."""
        for number, start in enumerate(range(0, self.size, PER_DOCUMENT)):
            name = f"00000000-0000-4000-8000-{number:012d}"
            rows = range(start, min(self.size, start + PER_DOCUMENT))
            yield (
                name,
                [
                    IndexRecord(row, name, number % PARTITIONS, row - start, self.text(row), self.vectors[row])
                    for row in rows
                ],
            )

    def partition(self, row: int) -> int:
        return (row // PER_DOCUMENT) % PARTITIONS

    def question(self) -> tuple[str, np.ndarray]:
        """Six words of some passage (four characters of a longer Chinese one), and a point near its vector."""
        row = self._random.randrange(self.size)
        words = [w if w.isascii() else w[:4] for w in self.text(row).split() if len(w) > 3] or ["word"]
        noise = corpora.unit(self._noise.standard_normal(DIMENSION))
        return " ".join(self._random.choices(words, k=6)), corpora.unit(self.vectors[row] + 0.3 * noise)


def resident() -> int:
    """Bytes of memory in use, freed blocks given back first. Linux with glibc."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def interleaved(systems: dict[str, Answer], questions: list[tuple[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """p50 and p95 in milliseconds of each, all asked in turn; the first two questions are not counted."""
    times: dict[str, list[float]] = {name: [] for name in systems}
    for text, vector in questions:
        for name, answer in systems.items():
            start = time.perf_counter()
            answer(text, vector)
            times[name].append(1000.0 * (time.perf_counter() - start))
    return {
        name: {"p50": round(float(np.median(each[2:])), 2), "p95": round(float(np.percentile(each[2:], 95)), 2)}
        for name, each in times.items()
    }


def ours(replica: Replica, readable: list[int]) -> dict[str, Answer]:
    """The search of the product, and its two legs alone."""

    def hybrid(text: str, vector: np.ndarray) -> Any:
        return replica.search(text, vector, partitions=readable, limit=10, per_document=10)

    def words(text: str, vector: np.ndarray) -> Any:
        return WordScores(replica._view.selections(readable), Counter(tokenize(text)), replica.options).candidates(10)

    def vectors(text: str, vector: np.ndarray) -> Any:
        return dense_candidates(replica._view.selections(readable), vector.astype(np.float16).astype(np.float64), 10)

    return {"ours": hybrid, "ours-words": words, "ours-vectors": vectors}


def measure(size: int, corpus: corpora.Corpus, queries: int, seed: int, peers: bool) -> dict[str, Any]:
    world = World(size, corpus, seed)
    questions = [world.question() for _ in range(queries + 2)]
    before = resident()
    replica = Replica(DIMENSION, "benchmark")
    start = time.perf_counter()
    documents = world.documents()
    while batch := list(itertools.islice(documents, 100)):
        replica.apply_many(batch)
    replica.tidy()
    del batch
    result: dict[str, Any] = {
        "passages": size,
        "build_us_per_passage": round(1e6 * (time.perf_counter() - start) / size, 1),
        "bytes_per_passage": round((resident() - before) / size),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snapshot"
        start = time.perf_counter()
        save_snapshot(replica, path)
        result["snapshot_save_s"] = round(time.perf_counter() - start, 3)
        start = time.perf_counter()
        assert len(load_snapshot(path, model_id="benchmark")) == size
        result["snapshot_load_s"] = round(time.perf_counter() - start, 3)
        path.unlink()
        result |= changes(replica, world)
        others = all_peers(world, Path(folder)) if peers else {}
        exact = flat(world, depth=50)
        for share, readable in VISIBLE.items():
            mine = list(range(readable))
            systems = ours(replica, mine) | {name: reader(mine) for name, (_, reader) in others.items()}
            row: dict[str, Any] = dict(interleaved(systems, questions))
            row |= recall(replica, exact(mine), world, questions, mine)
            for name, (leg, _) in others.items():
                row[name]["ratio"] = round(row[name]["p50"] / row[f"ours-{leg}"]["p50"], 2)
            if others:
                quickest = [
                    min(row[n]["p50"] for n, (leg, _) in others.items() if leg == k) for k in ("words", "vectors")
                ]
                row["ratio_hybrid"] = round(sum(quickest) / row["ours"]["p50"], 2)
            result[share] = row
            print(size, share, json.dumps(row), flush=True)
    return result


def recall(
    replica: Replica, near: Answer, world: World, questions: list[tuple[str, np.ndarray]], readable: list[int]
) -> dict[str, float]:
    """Shares of the best ten that the vectors' leg finds too. `near` gives more than ten by float32: the best ten of
    either reckoning are among them and ours."""
    found, exact, misses = [], [], [0.0]
    for text, vector in questions:
        hits = replica.search(text, vector, partitions=readable, limit=10, per_document=10, dense_weight=1.0)
        ours = [hit.chunk_id for hit in hits]
        rows = [int(row) for row in near(text, vector)[1][0] if row >= 0]
        best = rows[:10]
        found.append(len(set(best) & set(ours)) / max(1, len(best)))
        places = np.array(sorted({*rows, *ours}))
        held = on_grid(world.vectors[places]).astype(np.float64) / GRID @ vector.astype(np.float16).astype(np.float64)
        scores = dict(zip(places.tolist(), held.tolist(), strict=True))
        least = sorted(scores.values(), reverse=True)[len(best) - 1]
        exact.append(sum(scores[row] >= least for row in ours) / max(1, len(best)))
        if left_out := set(best) - set(ours):
            true = dict(zip(places.tolist(), world.vectors[places].astype(np.float64) @ vector, strict=True))
            misses.append(max(true[row] for row in left_out) - min(true[row] for row in ours))
    return {
        "recall@10": round(float(np.mean(found)), 4),
        "exact@10": round(float(np.mean(exact)), 4),
        "nearest_miss": float(f"{max(misses):.1e}"),
    }


def first(corpus: corpora.Corpus) -> float:
    """Mebibytes that the process grows by at a small replica that is made, searched and dropped."""
    world = World(10_000, corpus, 0)
    text, vector = world.question()
    before = resident()
    replica = Replica(DIMENSION, "benchmark")
    replica.apply_many(list(world.documents()))
    replica.tidy()
    replica.search(text, vector, partitions=range(PARTITIONS), limit=10, per_document=10)
    del replica
    return round((resident() - before) / 2**20, 1)


def changes(replica: Replica, world: World) -> dict[str, float]:
    """Median milliseconds to add one document of `PER_DOCUMENT` passages, and to remove it."""
    added: list[float] = []
    removed: list[float] = []
    for number in range(20):
        name = f"new-{number}"
        rows = range(PER_DOCUMENT)
        records = [IndexRecord(-1 - row, name, 0, row, world.text(row), world.vectors[row]) for row in rows]
        steps: list[tuple[list[float], list[IndexRecord]]] = [(added, records), (removed, [])]
        for times, content in steps:
            start = time.perf_counter()
            replica.apply(name, content)
            times.append(1000.0 * (time.perf_counter() - start))
    return {"add_ms": round(float(np.median(added)), 2), "delete_ms": round(float(np.median(removed)), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000", help="passages, separated by commas")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="tar archives or folders of Markdown")
    parser.add_argument("--centres", type=int, default=1000, help="real passages whose vectors the others lie around")
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--peers", choices=("all", "none"), default="all", help="the alternatives that are installed")
    parser.add_argument("--peers-from", type=Path, help="site-packages that hold the optional ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.peers_from:
        sys.path.append(str(options.peers_from))  # last: our own packages come first
    corpus = corpora.load(options.texts, centres=options.centres, dimension=DIMENSION, seed=options.seed)
    first_mib = first(corpus)
    results = []
    for size in map(int, options.sizes.split(",")):
        results.append(measure(size, corpus, options.queries, options.seed, options.peers == "all"))
    summary = {"benchmark": "search", "baselines": "peers", "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps(summary | {"first_mib": first_mib, "results": results}))


if __name__ == "__main__":
    main()
