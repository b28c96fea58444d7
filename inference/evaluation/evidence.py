"""How good the evidence is: ``python -m inference.evaluation --data DIR --encoder DIR [--sets NAME …]``.

Question files in the layout ``NAME.contexts.jsonl`` {ctx_id, title, text} and ``NAME.questions.jsonl`` {id,
question, answers, answerable, ctx_id}. Every question is asked of its own context (``passage``) and, with
``--search N``, of the best N passages of the whole set by BM25. Reported per set: share of answerable questions whose
answer is in the first, the first two and any quotation; AUC of answerable against not; risk and coverage; time.
Progress goes to stderr, one table to stdout, and the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.engines.base import Passage
from inference.evidence import ANSWERABLE_THRESHOLD, EvidenceScorer
from inference.training.cosines import Encoder
from inference.training.qa import Example, holds, load, splitter_named
from inference.training.retrieval import Bm25

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """One question after assessment; ``right[k]``: the answer is in the first ``k + 1`` quotations."""

    answerable: bool
    probability: float
    right: tuple[bool, bool, bool]
    milliseconds: float


def judge(scorer: EvidenceScorer, example: Example, passages: Sequence[Passage]) -> Judged:
    """Ask one question of some passages; a quotation counts when it holds one of the expected answers."""
    started = time.perf_counter()
    found = scorer.assess(example.question, passages)
    spent = (time.perf_counter() - started) * 1000
    good = [
        holds(passages[item.passage].text[item.char_start : item.char_end], example.answers) for item in found.evidence
    ]
    return Judged(example.answerable, found.answerable, (any(good[:1]), any(good[:2]), any(good[:3])), spent)


def auc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Chance that a positive scores above a negative, ties half; ``None`` when one side is empty."""
    if not positive or not negative:
        return None
    values = np.concatenate([positive, negative])
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]
    total = float(ranks[: len(positive)].sum()) - len(positive) * (len(positive) + 1) / 2
    return total / (len(positive) * len(negative))


def risk_coverage(judged: Sequence[Judged], quotations: int = 2) -> dict[str, float]:
    """Share of wrong answers among the surest part of the answerable questions, for every coverage."""
    sure = sorted((item for item in judged if item.answerable), key=lambda item: -item.probability)
    wrong: npt.NDArray[np.float64] = np.asarray([not item.right[quotations - 1] for item in sure], dtype=np.float64)
    return {
        f"{coverage:.1f}": round(float(wrong[: max(1, int(coverage * len(wrong)))].mean()), 4)
        for coverage in COVERAGES
        if len(wrong)
    }


def summary(judged: Sequence[Judged]) -> dict[str, object]:
    """The numbers of one set in one mode."""
    answerable = [item for item in judged if item.answerable]
    others = [item for item in judged if not item.answerable]
    found = auc([item.probability for item in answerable], [item.probability for item in others])

    def said(items: Iterable[Judged]) -> float | None:
        values = [item.probability >= ANSWERABLE_THRESHOLD for item in items]
        return round(sum(values) / len(values), 4) if values else None

    return {
        "questions": len(judged),
        "answerable": len(answerable),
        **{
            name: round(sum(item.right[place] for item in answerable) / max(1, len(answerable)), 4)
            for place, name in enumerate(("first", "first_two", "first_three"))
        },
        "auc": None if found is None else round(found, 4),
        "answered_of_answerable": said(answerable),
        "answered_of_unanswerable": said(others),
        "risk_at_coverage": risk_coverage(judged),
        "median_ms": round(statistics.median(item.milliseconds for item in judged), 1) if judged else None,
    }


def evaluate(scorer: EvidenceScorer, examples: Sequence[Example], search: int = 0) -> dict[str, dict[str, object]]:
    """Numbers of one set, by mode. In ``search`` mode a question counts as answerable only when found."""
    passages = list({item.id: item for example in examples for item in example.passages}.values())
    modes = {"passage": [judge(scorer, example, example.passages) for example in examples]}
    if search:
        index = Bm25(passages)
        modes["search"] = []
        for example in examples:
            near = [passages[number] for number in index.top(example.question, search)]
            own = {item.id for item in example.passages}
            item = judge(scorer, example, near)
            known = example.answerable and any(passage.id in own for passage in near)
            if known or not example.answerable:
                modes["search"].append(item)
    return {mode: summary(judged) for mode, judged in modes.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m inference.evaluation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of question files")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--sets", nargs="*", default=[], help="names of sets; default: all in the folder")
    parser.add_argument("--limit", type=int, default=0, help="at most so many questions of a set, drawn by seed 1")
    parser.add_argument("--search", type=int, default=0, help="also ask of so many retrieved passages")
    parser.add_argument("--splitter", default="", help="module:function giving sentence spans of a text")
    given = parser.parse_args(arguments)
    names = given.sets or sorted(
        path.name.removesuffix(".questions.jsonl") for path in given.data.glob("*.questions.jsonl")
    )

    scorer = EvidenceScorer(Encoder(given.encoder), encoder=given.encoder)
    report = {}
    for name in names:
        examples = [
            item for item in load(given.data, name, splitter_named(given.splitter)) if item.gold or not item.answerable
        ]
        if given.limit:
            random.Random(1).shuffle(examples)  # noqa: S311 - a reproducible sample, no secret
            examples = examples[: given.limit]
        if not examples:
            continue
        print(f"{name}: {len(examples)} questions", file=sys.stderr)  # noqa: T201 - a command's progress
        report[name] = evaluate(scorer, examples, given.search)
        for mode, row in report[name].items():
            print(f"{name:20} {mode:8} " + " ".join(f"{key}={value}" for key, value in row.items()))  # noqa: T201
    print(json.dumps(report))  # noqa: T201 - the result of the command


if __name__ == "__main__":
    main()
