"""How much faster the embedder is than sentence-transformers' default, and whether it finds the same.

    python -m tests.benchmarks.embedding [--passages FILE.jsonl ...] [--count N] [--queries N] [--rounds N]
        [--threads N]

Random words come first; then each file named (`corpus.jsonl` of the layout of BEIR), with the questions of the
`queries.jsonl` beside it or, without one, first sentences. Passages and questions are the first `--count` and
`--queries` of each; a set's row shows how long its passages are, for padding differs with it.

Both embed the same passages in turn, in one process, on the same cores, a round of one and then of the other, so that
a busy machine is busy for both; the ratio is the median of the rounds' ratios. The baseline is
`SentenceTransformer(...).encode` as its documentation shows it (float32, batches of 32). Overlap is the mean share of
common passages among the ten nearest of each query. The last line is one JSON object; its ratio is the sets' median.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("USE_HUB_KERNELS", "NO")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import numpy as np

from retrieval.embedding import MiniLMEmbedder, model_folder
from retrieval.text import sentences

WORDS = (
    "the company employee leave policy travel expense invoice server network security report board meeting "
    "budget product price customer contract delivery quality team project deadline manager training system"
)


def random_words(count: int) -> list[str]:
    """Texts of natural lengths that say nothing."""
    choose = random.Random(7)
    words = WORDS.split()
    return [" ".join(choose.choices(words, k=choose.randint(30, 180))) + "." for _ in range(count)]


def texts_of(path: Path, count: int) -> list[str]:
    """The first texts of a file of BEIR, corpus or queries."""
    with path.open(encoding="utf-8") as stream:
        return [str(json.loads(line)["text"]) for line in itertools.islice(stream, count)]


Encode = Callable[[list[str]], np.ndarray]


def timed(embed: Encode, texts: list[str]) -> tuple[float, np.ndarray]:
    """Seconds, and the vectors."""
    start = time.perf_counter()
    vectors = np.asarray(embed(texts))
    return time.perf_counter() - start, vectors


def latency(embed: Encode, texts: list[str]) -> float:
    """Median milliseconds of one text at a time."""
    times = []
    for text in texts:
        start = time.perf_counter()
        embed([text])
        times.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(times)


def overlap(ours: np.ndarray, theirs: np.ndarray, queries: np.ndarray, reference: np.ndarray) -> float:
    """Mean share of common rows among the ten nearest."""
    first, second = (np.argsort(-(q @ p.T), axis=1)[:, :10] for q, p in ((queries, ours), (reference, theirs)))
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(first, second, strict=True)]))


def measure(texts: list[str], questions: list[str], ours: Encode, theirs: Encode, rounds: int) -> dict[str, object]:
    """Both sides on one set, in turns."""
    ours(texts[:16])
    theirs(texts[:16])
    times = []
    for _ in range(rounds):
        our_time, our_vectors = timed(ours, texts)
        base_time, base_vectors = timed(theirs, texts)
        times.append((our_time, base_time))
    ratios = sorted(their / own for own, their in times)
    our_query, base_query = latency(ours, questions), latency(theirs, questions)
    return {
        "passages": len(texts),
        "characters": round(statistics.median(map(len, texts))),
        "passages_per_second": round(len(texts) / min(own for own, _ in times), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_by_round": [round(ratio, 2) for ratio in ratios],
        "query_ms": round(our_query, 2),
        "query_ratio": round(base_query / our_query, 2),
        "min_cosine": round(float((our_vectors * base_vectors).sum(axis=1).min()), 5),
        "top10_overlap": round(overlap(our_vectors, base_vectors, ours(questions), theirs(questions)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=Path, nargs="+", default=[], help="corpus.jsonl with a `text` in every line")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()

    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options.threads)
    baseline = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    ours = MiniLMEmbedder.load(runtime="openvino", threads=options.threads)

    def encode(batch: list[str]) -> np.ndarray:
        return baseline.encode(batch, normalize_embeddings=True, show_progress_bar=False)

    sets: dict[str, dict[str, object]] = {}
    for path in (None, *options.passages):
        texts = texts_of(path, options.count) if path else random_words(options.count)
        asked = path and path.with_name("queries.jsonl")
        if asked and asked.exists():
            questions = texts_of(asked, options.queries)
        else:
            questions = [text[start:end] for text in texts for start, end in sentences(text)[:1]][: options.queries]
        name = path.absolute().parent.name if path else "random words"
        sets[name] = measure(texts, questions, ours.embed, encode, options.rounds)
        print(f"{name:20}", *(f"{key} {value}" for key, value in sets[name].items()), sep="  ", flush=True)
    result = {
        "benchmark": "embedding",
        "baseline": "sentence-transformers encode, float32",
        "threads": options.threads,
        "ratio": statistics.median(float(str(one["ratio"])) for one in sets.values()),
        "lowest_overlap": min(float(str(one["top10_overlap"])) for one in sets.values()),
        "sets": sets,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
