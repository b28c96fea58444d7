"""How much faster the embedder is than sentence-transformers' default, and whether it finds the same.

    python -m tests.benchmarks.embedding [--passages FILE.jsonl] [--count N] [--queries N] [--threads N]

Both embed the same passages in turn, in one process, on the same cores; the baseline is
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


def timed(embed, texts: list[str], repeats: int) -> tuple[float, np.ndarray]:
    """Best time of several in seconds (the machine may be shared), and the vectors."""
    best, vectors = float("inf"), np.empty(0)
    for _ in range(repeats):
        start = time.perf_counter()
        vectors = embed(texts)
        best = min(best, time.perf_counter() - start)
    return best, np.asarray(vectors)


def latency(embed, texts: list[str]) -> float:
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
    parser.add_argument("--repeats", type=int, default=2)
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
    our_time, our_vectors = timed(ours.embed, texts, options.repeats)
    base_time, base_vectors = timed(encode, texts, options.repeats)
    our_query, base_query = latency(ours.embed, questions), latency(encode, questions)
    result = {
        "benchmark": "embedding",
        "baseline": "sentence-transformers encode, float32",
        "passages": len(texts),
        "threads": options.threads,
        "passages_per_second": round(len(texts) / our_time, 1),
        "ratio": round(base_time / our_time, 2),
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
