"""What the shape of a person's access costs in search: many scopes, a huge neighbour, a corpus that grows around it.

    python -m tests.benchmarks.scopes [--passages 200000] [--own 2000] [--scopes 2000] [--queries 40]

The corpus is that of `tests.benchmarks.search` without archives (words by Zipf's law, vectors on the sphere). Each
question is put to all in turn, and each ratio is of two in the same run:

- `many`: a person whose `--own` passages lie in `--scopes` scopes, against one who has as many in one scope;
- `beside`: one small scope next to the whole corpus, against the same scope in a replica of its own;
- `growth`: the same person in the whole corpus against a tenth of it (10 were linear);
- `all`: who may read everything, against the person with one scope.

Medians. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np

from retrieval.retriever import Replica
from retrieval.schema import IndexRecord
from tests.benchmarks import corpora
from tests.benchmarks.peers import Answer
from tests.benchmarks.search import DIMENSION, PER_DOCUMENT, World, interleaved

ONE, REST, MANY = 1, 2, 1000  # partitions: one person's scope, everybody else's, and the first of many small ones


def documents(world: World, rows: range, partition: int) -> Iterator[tuple[str, list[IndexRecord]]]:
    """Documents of passages `rows`, in one partition."""
    for start in range(rows.start, rows.stop, PER_DOCUMENT):
        name = f"00000000-0000-4000-8000-{start:012d}"
        chosen = range(start, min(rows.stop, start + PER_DOCUMENT))
        yield (
            name,
            [IndexRecord(row, name, partition, row - start, world.text(row), world.vectors[row]) for row in chosen],
        )


def filled(world: World, own: int, scopes: int, rest: int) -> Replica:
    """`own` passages in one scope, as many in `scopes` scopes, and `rest` passages that belong to others."""
    replica = Replica(DIMENSION, "benchmark")
    replica.apply_many(documents(world, range(own), ONE))
    each = max(1, own // scopes) if scopes else 1
    for number in range(scopes):
        start = own + number * each
        replica.apply_many(documents(world, range(start, start + each), MANY + number))
    first = own + scopes * each
    for start in range(first, first + rest, 2000):
        replica.apply_many(documents(world, range(start, min(first + rest, start + 2000)), REST))
    replica.tidy()
    return replica


def asking(replica: Replica, partitions: list[int]) -> Answer:
    def answer(text: str, vector: np.ndarray) -> object:
        return replica.search(text, vector, partitions=partitions, limit=10, per_document=10)

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--own", type=int, default=2000)
    parser.add_argument("--scopes", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=40)
    options = parser.parse_args()
    world = World(
        options.passages + 2 * options.own + options.scopes,
        corpora.load([], centres=20_000, dimension=DIMENSION, seed=7),
        seed=7,
    )
    questions = [world.question() for _ in range(options.queries + 2)]
    whole = filled(world, options.own, options.scopes, options.passages)
    tenth = filled(world, options.own, options.scopes, options.passages // 10)
    alone = filled(world, options.own, 0, 0)
    many = [MANY + number for number in range(options.scopes)]
    times = interleaved(
        {
            "one": asking(whole, [ONE]),
            "many": asking(whole, many),
            "alone": asking(alone, [ONE]),
            "tenth": asking(tenth, [ONE]),
            "many_tenth": asking(tenth, many),
            "all": asking(whole, [ONE, REST, *many]),
        },
        questions,
    )
    middle = {name: each["p50"] for name, each in times.items()}
    result = {
        "benchmark": "scopes",
        "passages": len(whole),
        "own": options.own,
        "scopes": options.scopes,
        "ms": times,
        "ratios": {
            "many": round(middle["many"] / middle["one"], 2),
            "beside": round(middle["one"] / middle["alone"], 2),
            "growth": round(middle["one"] / middle["tenth"], 2),
            "growth_many": round(middle["many"] / middle["many_tenth"], 2),
            "all": round(middle["all"] / middle["one"], 2),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
