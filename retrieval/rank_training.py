"""Trains the few weights of `retrieval.reranking`, and shows what each feature is worth on sets it was not trained on.

    python -m retrieval.rank_training DIR... [--questions 300] [--save]

takes folders in the layout of BEIR (`retrieval.evaluation`), at least three. The table has one line a choice of
features and one column a set: the change of nDCG@10 against the first stage, with weights trained on all the other
sets; behind it the mean over the sets and its 95 % interval (bootstrap over questions, within sets). `--save` writes
`ranking.json`, trained on all the folders. The last line is one JSON object. CPU only, some minutes.

Knows: candidates of judged questions. Does not know: how they were found. The loss is the cross-entropy of the softmax
over a question's candidates (ListNet, Cao et al. 2007), every set counting alike, with so strong a pull to zero
(`DECAY`) that a feature which helps on some sets only stays small.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.embedding import Embedder, MiniLMEmbedder
from retrieval.evaluation import Collection, JudgedSet
from retrieval.fusion import unfolded
from retrieval.reranking import DEPTH, FEATURES, WEIGHTS, features, is_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHOICES = {
    "pairs": ("pairs",),
    "pairs, run": ("pairs", "run"),
    "window": ("window",),
    "numbers": ("numbers",),
    "no window": ("pairs", "run", "numbers"),
    "all": FEATURES,
}
DECAY = 0.3
STEPS, RATE = 200, 0.03
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Example:
    """One question: `first` (n,), `columns` (n, features), the candidates' `gains` (n,), the best gains there are."""

    first: NDArray[np.float64]
    columns: NDArray[np.float64]
    gains: NDArray[np.float64]
    ideal: NDArray[np.float64]

    def ndcg(self, weights: NDArray[np.float64]) -> float:
        """nDCG@10 in the order that the weights make; ties keep the first order."""
        order = np.argsort(-np.round(self.first + self.columns @ weights, 9), kind="stable")[:10]
        return float(
            (self.gains[order] * _DISCOUNTS[: len(order)]).sum() / (self.ideal * _DISCOUNTS[: len(self.ideal)]).sum()
        )


_DISCOUNTS = 1.0 / np.log2(np.arange(2, 12))
Sets = Mapping[str, Sequence[Example]]


def examples(judged: JudgedSet, embedder: Embedder, questions: int) -> list[Example]:
    """The candidates of some of a set's questions, drawn alike each time. What is no question has columns of zeros."""
    collection = Collection(judged, embedder)
    chosen = sorted(judged.judgements)
    random.Random(1).shuffle(chosen)  # noqa: S311 - a sample, not a secret
    found: list[Example] = []
    for query in chosen[:questions]:
        text, gains = judged.questions[query], judged.judgements[query]
        vector = embedder.embed([text])[0]
        hits = collection.replica.search(text, vector, partitions=[0], limit=DEPTH, per_document=1)
        columns = np.zeros((len(hits), len(FEATURES)))
        if len(hits) > 1 and is_question(text):
            columns = features(text, [collection.passages[hit.chunk_id] for hit in hits])
        found.append(
            Example(
                unfolded(np.array([hit.score for hit in hits])),
                columns,
                np.array([gains.get(hit.document_id, 0.0) for hit in hits]),
                np.array(sorted(gains.values(), reverse=True)[:10]),
            )
        )
    return found


def fit(sets: Sequence[Sequence[Example]], names: Sequence[str]) -> NDArray[np.float64]:
    """Weights of `FEATURES`, zero for those not named, in units of the first stage's score."""
    usable = [[example for example in each if example.gains.sum() > 0 and example.columns.any()] for each in sets]
    flat = [(example, 1.0 / (len(each) * len(usable))) for each in usable for example in each]
    size = 1 + len(FEATURES)
    rows = np.zeros((len(flat), DEPTH, size))
    target = np.zeros((len(flat), DEPTH))
    absent = np.full((len(flat), DEPTH), -1e9)
    for place, (example, _) in enumerate(flat):
        n = len(example.gains)
        rows[place, :n, 0], rows[place, :n, 1:] = example.first, example.columns
        target[place, :n] = example.gains / example.gains.sum()
        absent[place, :n] = 0.0
    share = np.array([weight for _, weight in flat])
    free = np.array([True, *(name in names for name in FEATURES)])
    pull = np.array([0.0] + [DECAY] * len(FEATURES))
    weights = np.eye(size)[0]
    mean, square = np.zeros((2, size))
    for step in range(1, STEPS + 1):  # Adam (Kingma and Ba 2015)
        logits = rows @ weights + absent
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = odds / odds.sum(axis=1, keepdims=True) - target
        slope = (np.einsum("q,qn,qnf->f", share, error, rows) + pull * weights) * free
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        weights = weights - RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        weights[0] = max(weights[0], 0.1)  # the scale of the first stage, which is never worth nothing
    return np.asarray(weights[1:] / weights[0])


def ablation(sets: Sets) -> dict[str, dict[str, object]]:
    """For every choice of features: the change on each set, trained on the others, and the mean with its interval."""
    zero = np.zeros(len(FEATURES))
    table: dict[str, dict[str, object]] = {}
    for choice, names in CHOICES.items():
        changes: dict[str, NDArray[np.float64]] = {}
        for left_out in sets:
            weights = fit([each for name, each in sets.items() if name != left_out], names)
            changes[left_out] = np.array([item.ndcg(weights) - item.ndcg(zero) for item in sets[left_out]])
        draw = np.random.default_rng(1)
        means = [
            np.mean([draw.choice(change, len(change)).mean() for change in changes.values()]) for _ in range(DRAWS)
        ]
        low, high = np.percentile(means, [2.5, 97.5])
        table[choice] = {
            "change": {name: round(float(change.mean()), 4) for name, change in changes.items()},
            "mean": round(float(np.mean([change.mean() for change in changes.values()])), 4),
            "interval": [round(float(low), 4), round(float(high), 4)],
        }
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.rank_training", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a folder in the layout of BEIR")
    parser.add_argument("--questions", type=int, default=300, help="of each set at most")
    parser.add_argument("--save", action="store_true", help=f"write {WEIGHTS.name}")
    options = parser.parse_args(arguments)
    if len(options.folders) < 3:
        parser.error("at least three sets: one is left out, and one alone teaches its own manners")
    embedder = MiniLMEmbedder.load()
    write = sys.stdout.write
    sets: dict[str, list[Example]] = {}
    for folder in options.folders:
        try:
            judged = JudgedSet.read(folder)
        except (OSError, ValueError, KeyError) as error:
            sys.stderr.write(f"{folder}: {type(error).__name__}: {error}\n")
            return 2
        sets[judged.name] = examples(judged, embedder, options.questions)
        first = float(np.mean([item.ndcg(np.zeros(len(FEATURES))) for item in sets[judged.name]]))
        write(f"{judged.name}: {len(sets[judged.name])} questions, first stage {first:.4f}\n")
    table = ablation(sets)
    for choice, row in table.items():
        changes = "".join(f"{value:+9.4f}" for value in dict[str, float](row["change"]).values())  # type: ignore[call-overload]
        write(f"{choice:12}{changes}   mean {row['mean']:+.4f} {row['interval']}\n")
    weights = dict(zip(FEATURES, fit(list(sets.values()), FEATURES).round(3).tolist(), strict=True))
    summary = {"weights": weights, "trained_on": sorted(sets), "questions": sum(map(len, sets.values()))}
    if options.save:
        WEIGHTS.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    write(json.dumps(summary | {"first_stage": "hybrid", "ablation": table}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
