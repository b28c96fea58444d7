"""How much faster the embedder is than sentence-transformers' default, and whether it finds the same.

    python -m tests.benchmarks.embedding [--passages FILE.jsonl] [--count N] [--queries N] [--rounds N] [--threads N]

Both embed the same passages in turn, in one process, on the same cores, a round of one and then of the other, so that
a busy machine is busy for both; the ratio is the median of the rounds' ratios. The baseline is
`SentenceTransformer(...).encode` as its documentation shows it (float32, batches of 32). Overlap is the mean share of
common passages among the ten nearest of each query. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
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


def passages_of(path: Path | None, count: int) -> list[str]:
    """Texts of a corpus in the layout of BEIR, or random words of natural lengths."""
    if path is not None:
        with path.open(encoding="utf-8") as stream:
            texts = [str(json.loads(line)["text"]) for line in stream]
        return (texts * (1 + count // len(texts)))[:count]
    choose = random.Random(7)
    words = WORDS.split()
    return [" ".join(choose.choices(words, k=choose.randint(30, 180))) + "." for _ in range(count)]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=Path, help="corpus.jsonl with a `text` in every line")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()

    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options.threads)
    texts = passages_of(options.passages, options.count)
    questions = [text[start:end] for text in texts for start, end in sentences(text)[:1]][: options.queries]
    baseline = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    ours = MiniLMEmbedder.load(runtime="openvino", threads=options.threads)

    def encode(batch: list[str]) -> np.ndarray:
        return baseline.encode(batch, normalize_embeddings=True, show_progress_bar=False)

    ours.embed(texts[:16])
    encode(texts[:16])
    times = []
    for _ in range(options.rounds):
        our_time, our_vectors = timed(ours.embed, texts)
        base_time, base_vectors = timed(encode, texts)
        times.append((our_time, base_time))
    ratios = sorted(theirs / own for own, theirs in times)
    our_query, base_query = latency(ours.embed, questions), latency(encode, questions)
    result = {
        "benchmark": "embedding",
        "baseline": "sentence-transformers encode, float32",
        "passages": len(texts),
        "threads": options.threads,
        "passages_per_second": round(len(texts) / min(own for own, _ in times), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_by_round": [round(ratio, 2) for ratio in ratios],
        "query_ms": round(our_query, 2),
        "query_ratio": round(base_query / our_query, 2),
        "min_cosine": round(float((our_vectors * base_vectors).sum(axis=1).min()), 5),
        "top10_overlap": round(overlap(our_vectors, base_vectors, ours.embed(questions), encode(questions)), 4),
    }
    for name, value in result.items():
        print(f"{name:22} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
