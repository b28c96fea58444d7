"""Hybrid search by size and by how much a person may read, beside plain alternatives in the same run.

    python -m tests.benchmarks.search [--sizes 10000,100000] [--texts FILE.jsonl] [--queries N] [--seed N]

Texts are those of the file, repeated in shuffled halves until there are enough, or Zipf-distributed words; vectors are
random points around as many centres as there are documents. A thousand partitions of equal size; a person reads
1000, 100, 10 or 1 of them. Alternatives, each filtering as its documentation says:

- `faiss-flat`: IndexFlatIP, float32, with an IDSelectorBitmap of the readable rows (vectors);
- `fts5`: SQLite FTS5, bm25(), `MATCH ... AND partition IN (...)` (words);
- `bm25s`: retrieve with a weight mask, where that package is installed (words).

Ours answers with both legs fused. `ratio` is the alternatives' vectors plus FTS5's words over ours. The last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import itertools
import json
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from retrieval.indexes.snapshot import load_snapshot, save_snapshot
from retrieval.retriever import Replica
from retrieval.schema import IndexRecord
from retrieval.text import tokenize

DIMENSION = 384
PARTITIONS = 1000
PER_DOCUMENT = 20
Answer = Callable[[str, np.ndarray], Any]
VISIBLE = {"100%": 1000, "10%": 100, "1%": 10, "0.1%": 1}


class World:
    """Passages with partitions and vectors, and questions made of words that occur."""

    def __init__(self, size: int, texts: list[str], seed: int) -> None:
        self.size = size
        self.random = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.texts = texts
        self.vectors = np.empty((size, DIMENSION), dtype=np.float16)

    def documents(self) -> Iterator[tuple[str, list[IndexRecord]]]:
        """Every document with its records, in an order that mixes the partitions."""
        for number, start in enumerate(range(0, self.size, PER_DOCUMENT)):
            centre = self.noise.standard_normal(DIMENSION)
            rows = range(start, min(self.size, start + PER_DOCUMENT))
            points = unit(centre + 0.7 * self.noise.standard_normal((len(rows), DIMENSION)))
            self.vectors[rows.start : rows.stop] = points
            name = f"document-{number:08d}"
            yield (
                name,
                [
                    IndexRecord(row, name, number % PARTITIONS, row - start, self.text(row), self.vectors[row])
                    for row in rows
                ],
            )

    def text(self, row: int) -> str:
        """The passage's text, the same whenever asked."""
        first, second = self.texts[row % len(self.texts)], self.texts[(row * 7919 + 13) % len(self.texts)]
        return first[: len(first) // 2] + " " + second[len(second) // 2 :]

    def partition(self, row: int) -> int:
        return (row // PER_DOCUMENT) % PARTITIONS

    def question(self) -> tuple[str, np.ndarray]:
        """Six words of some passage, and a point near some vector."""
        row = self.random.randrange(self.size)
        words = [word for word in self.text(row).split() if len(word) > 3] or ["word"]
        text = " ".join(self.random.choices(words, k=6))
        near = self.vectors[row].astype(np.float32) + 0.05 * self.noise.standard_normal(DIMENSION)
        return text, unit(near)


def unit(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), dtype=np.float32)


def resident() -> int:
    """Bytes of memory in use, freed blocks given back first. Linux with glibc."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def percentiles(answer: Answer, questions: list[tuple[str, np.ndarray]]) -> dict[str, float]:
    """p50 and p95 in milliseconds, the first two questions not counted."""
    times = []
    for text, vector in questions:
        start = time.perf_counter()
        answer(text, vector)
        times.append(1000.0 * (time.perf_counter() - start))
    counted = times[2:]
    return {"p50": round(float(np.median(counted)), 2), "p95": round(float(np.percentile(counted, 95)), 2)}


def flat_index(world: World) -> tuple[Any, Callable[[int], Answer]]:
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(world.vectors.astype(np.float32))
    owner = np.array([world.partition(row) for row in range(world.size)])

    def reader(readable: int) -> Answer:
        bits = np.packbits(owner < readable, bitorder="little")
        selector = faiss.IDSelectorBitmap(world.size, faiss.swig_ptr(bits))
        parameters: Any = faiss.SearchParameters()
        parameters.sel = selector

        def answer(text: str, vector: np.ndarray) -> Any:
            assert bits is not None  # the selector points into it
            return index.search(vector[None], 10, params=parameters)

        return answer

    return index, reader


def fts_index(world: World) -> Callable[[int], Answer]:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE passages USING fts5(text, partition UNINDEXED, tokenize='porter unicode61')")
    rows = ((world.text(row), world.partition(row)) for row in range(world.size))
    database.executemany("INSERT INTO passages VALUES (?, ?)", rows)

    def reader(readable: int) -> Answer:
        def answer(text: str, vector: np.ndarray) -> Any:
            query = " OR ".join(f'"{word}"' for word in dict.fromkeys(text.replace('"', "").split()))
            where = ",".join(map(str, range(readable)))
            sql = f"SELECT rowid FROM passages WHERE passages MATCH ? AND partition IN ({where}) ORDER BY rank LIMIT 10"
            return database.execute(sql, (query,)).fetchall()

        return answer

    return reader


def bm25s_index(world: World) -> Callable[[int], Answer]:
    bm25s = importlib.import_module("bm25s")
    model = bm25s.BM25()
    model.index([tokenize(world.text(row)) for row in range(world.size)], show_progress=False)
    owner = np.array([world.partition(row) for row in range(world.size)])

    def reader(readable: int) -> Answer:
        mask = (owner < readable).astype(np.float32)

        def answer(text: str, vector: np.ndarray) -> Any:
            return model.retrieve([tokenize(text)], k=10, weight_mask=mask, show_progress=False)

        return answer

    return reader


def measure(size: int, texts: list[str], queries: int, seed: int) -> dict[str, Any]:
    world = World(size, texts, seed)
    before = resident()
    replica = Replica(DIMENSION, "benchmark")
    start = time.perf_counter()
    documents = world.documents()
    while batch := list(itertools.islice(documents, 100)):
        replica.apply_many(batch)
    replica.compact()
    built = time.perf_counter() - start
    del batch
    questions = [world.question() for _ in range(queries + 2)]
    result: dict[str, Any] = {
        "passages": size,
        "build_us_per_passage": round(1e6 * built / size, 1),
        "bytes_per_passage": round((resident() - before) / size),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snapshot"
        save_snapshot(replica, path)
        start = time.perf_counter()
        assert len(load_snapshot(path, model_id="benchmark")) == size
        result["snapshot_load_s"] = round(time.perf_counter() - start, 3)
    result |= changes(replica, world)
    _, flat = flat_index(world)
    others = {"faiss-flat": flat, "fts5": fts_index(world)}
    if importlib.util.find_spec("bm25s"):
        others["bm25s"] = bm25s_index(world)
    for share, readable in VISIBLE.items():

        def ours(text: str, vector: np.ndarray, readable: int = readable) -> Any:
            return replica.search(text, vector, partitions=range(readable), limit=10, per_document=10)

        row: dict[str, Any] = {"ours": percentiles(ours, questions)}
        row |= {name: percentiles(reader(readable), questions) for name, reader in others.items()}
        row["recall@10"] = recall(replica, flat(readable), questions, readable)
        row["ratio"] = round((row["faiss-flat"]["p50"] + row["fts5"]["p50"]) / row["ours"]["p50"], 2)
        result[share] = row
        print(size, share, json.dumps(row), flush=True)
    return result


def recall(replica: Replica, exact: Answer, questions: list[tuple[str, np.ndarray]], readable: int) -> float:
    """Of the vectors' leg against float32, which rounds less: share of its best ten that ours has too."""
    found = []
    for text, vector in questions:
        hits = replica.search(text, vector, partitions=range(readable), limit=10, per_document=10, dense_weight=1.0)
        right = {int(row) for row in exact(text, vector)[1][0] if row >= 0}
        found.append(len(right & {hit.chunk_id for hit in hits}) / max(1, len(right)))
    return round(float(np.mean(found)), 4)


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


def load_texts(path: Path | None, seed: int) -> list[str]:
    if path is not None:
        with path.open(encoding="utf-8") as stream:
            return [str(json.loads(line)["text"])[:1200] for line in stream]
    random_words = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, 50_001) ** 1.05
    draws = random_words.choice(50_000, size=(5_000, 120), p=weights / weights.sum())
    return [" ".join(f"word{number}" for number in row) for row in draws]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000", help="passages, separated by commas")
    parser.add_argument("--texts", type=Path, help="a file with a `text` in every line")
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    texts = load_texts(options.texts, options.seed)
    sizes = [int(size) for size in options.sizes.split(",")]
    results = [measure(size, texts, options.queries, options.seed) for size in sizes]
    print(json.dumps({"benchmark": "search", "baselines": "faiss-flat + fts5", "results": results}))


if __name__ == "__main__":
    main()
