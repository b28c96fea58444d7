"""What the trained reader adds to a question: ``python -m tests.benchmarks.reading [--data DIR] [--cores 2]``.

Real questions, each asked of the ten passages that a search by words and vectors finds among about 400 of its set, as
many as the product reads, with the product's embedder and window. *Without* is the same engine where no trained reader
is loaded: words and cosines, half and half. *With* reads, and takes the cosines of four sentences. Both are timed on
every question, in turns, after one round that is not counted; *added* is the difference on the same question in the
same round, milliseconds; a ratio above 1 says that reading is dearer. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).parents[3] / "shared" / "data" / "qa"
NAMES = ("without", "with", "added")


def spread(values: list[float]) -> dict[str, float]:
    """Milliseconds: half of the values, and 95 of a hundred, lie below."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}


def timed(sides: dict[str, Callable[[int], object]], questions: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of both sides on every question, and what the second takes more; who begins changes by turns."""
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    for turn in range(rounds + 1):
        for number in range(questions):
            spent = {}
            for name in sorted(sides, reverse=bool((turn + number) % 2)):
                started = time.perf_counter()
                sides[name](number)
                spent[name] = (time.perf_counter() - started) * 1000
            spent["added"] = spent["with"] - spent["without"]
            if turn:
                for name in NAMES:
                    found[name].append(spent[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of question files")
    parser.add_argument("--sets", nargs="+", default=["squad2_devhalf", "cmrc2018_trial"])
    parser.add_argument("--questions", type=int, default=40, help="of a set, half without an answer where it has such")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2, help="processor cores that may be used")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before the libraries count the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    from inference.evidence import EvidenceScorer
    from inference.reading.reader import DEFAULT_BUDGET
    from inference.training.pools import FOUND, Asker, pool
    from inference.training.qa import splitter_named
    from retrieval.embedding import MiniLMEmbedder, model_folder

    embed = MiniLMEmbedder.load().embed
    trained, plain = EvidenceScorer(embed, encoder=model_folder()), EvidenceScorer(embed)
    report: dict[str, object] = {"cores": given.cores, "passages": FOUND, "pieces": DEFAULT_BUDGET}
    print(f"{FOUND} passages, {DEFAULT_BUDGET} word pieces, {given.cores} cores; milliseconds")
    for name in given.sets:
        asked, passages = pool(given.data, name, -(-given.questions // 2), splitter_named("retrieval.text:sentences"))
        search = Asker(passages, embed).search
        pairs = [(item.question, search(item.question)[:FOUND]) for item in asked]
        sides: dict[str, Callable[[int], object]] = {
            "with": lambda number, pairs=pairs: trained.assess(*pairs[number]),
            "without": lambda number, pairs=pairs: plain.assess(*pairs[number]),
        }
        found = timed(sides, len(pairs), given.rounds)
        ratio = statistics.median(a / b for a, b in zip(found["with"], found["without"], strict=True))
        row = {"questions": len(pairs), **{side: spread(found[side]) for side in NAMES}, "ratio": round(ratio, 2)}
        report[name] = row
        cells = "  ".join(f"{side} {row[side]['p50']:.1f} (p95 {row[side]['p95']:.1f})" for side in NAMES)
        print(f"{name}, {len(pairs)} questions: {cells}  ratio with/without {ratio:.2f}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
