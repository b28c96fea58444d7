"""What screening costs: many passages at once beside one at a time, and beside embedding the same passages.

    python -m tests.benchmarks.screening [--passages FILE.jsonl|DIRECTORY] [--count 400]

All in one process on one core: `scores` of a document's 64 passages together, `score` of each (the baseline), and the
packaged embedding model over the same passages. Milliseconds are of processor time; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from assistant.demo import build
from assistant.guardrails import injection, train_planted
from retrieval.embedding import MiniLMEmbedder

TOGETHER = 64


def milliseconds(work: Callable[[list[str]], object], texts: list[str], at_once: int) -> float:
    """Of processor time for a text; the better of two runs."""
    taken = []
    for _ in range(2):
        begun = time.process_time()
        for at in range(0, len(texts), at_once):
            work(texts[at : at + at_once])
        taken.append(1000 * (time.process_time() - begun) / len(texts))
    return min(taken)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the cost of screening.")
    parser.add_argument("--passages", type=Path, default=Path(build.__file__).parent / "content")
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args(arguments)
    texts = train_planted.read(options.passages, random.Random(1), options.count)
    embed = MiniLMEmbedder.load(threads=1).embed
    injection.scores(texts[:8], embed=embed)
    alone = milliseconds(lambda some: [injection.score(text, embed=embed) for text in some], texts, TOGETHER)
    together = milliseconds(lambda some: injection.scores(some, embed=embed), texts, TOGETHER)
    bare = milliseconds(injection.scores, texts, TOGETHER)
    embedding = milliseconds(embed, texts, TOGETHER)
    report = {
        "passages": len(texts),
        "together_ms": round(together, 2),
        "alone_ms": round(alone, 2),
        "without_meaning_ms": round(bare, 2),
        "embedding_ms": round(embedding, 2),
        "alone_to_together": round(alone / together, 2),
        "screening_to_embedding": round(together / embedding, 3),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
