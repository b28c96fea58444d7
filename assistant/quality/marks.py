"""What one golden question came to, in numbers, and a run's figures. Knows numbers alone: no text, no person.

Retrieval: nDCG@10 and recall@10 of the places named (document and page). Answers: exact match, F1, ROUGE-L and BLEU
(`inference.evaluation.answers`), and whether an expected answer stands in the first and first two sentences. Silence:
it answers what can be answered and says nothing of the rest. Evidence: the first citation is at a named place.
Grounded: the share of the answer's words that stand in what it quotes. Risk and coverage (El-Yaniv and Wiener 2010):
when only the surest questions are answered, which share of those answers is wrong.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

COVERAGES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one question; each 0 to 1 unless said otherwise, None where the question says nothing of it."""

    answerable: bool
    answered: bool
    failed: bool = False
    sure: float = 0.0  # the scorer's probability that the documents say
    ndcg: float | None = None
    recall: float | None = None
    document: bool = False
    page: bool = False
    first: bool = False
    second: bool = False
    exact: float | None = None
    f1: float | None = None
    rouge_l: float | None = None
    bleu: float | None = None
    grounded: float | None = None
    fallback: bool = False  # the engine could not, quotations answered in its place
    asked_denied: int = 0
    leaks: int = 0  # of those: people who were given what they may not read
    ms: int = 0

    @property
    def silence(self) -> bool:
        """Whether it spoke exactly when there is an answer."""
        return self.answered == self.answerable

    def row(self) -> list[Any]:
        return list(asdict(self).values())

    @classmethod
    def of(cls, row: Sequence[Any]) -> Mark:
        """The mark that `row` was made of; one written by an older version has fewer values."""
        return cls(**dict(zip((item.name for item in fields(cls)), row, strict=False)))


def summary(marks: Sequence[Mark]) -> dict[str, Any]:
    """A run's figures. Shares and means; times in milliseconds. None where no question says anything of it."""
    can = [mark for mark in marks if mark.answerable]
    cannot = [mark for mark in marks if not mark.answerable]
    times = sorted(mark.ms for mark in marks) or [0]
    return {
        "questions": len(marks),
        "answerable": len(can),
        "unanswerable": len(cannot),
        "failed": sum(mark.failed for mark in marks),
        "fallbacks": sum(mark.fallback for mark in marks),
        "answered": _mean(can, lambda mark: mark.answered),
        "abstained": _mean(cannot, lambda mark: not mark.answered),
        "silence": _mean(marks, lambda mark: mark.silence),
        "ndcg": _mean(marks, lambda mark: mark.ndcg),
        "recall": _mean(marks, lambda mark: mark.recall),
        "right_document": _mean(can, lambda mark: mark.document),
        "right_page": _mean(can, lambda mark: mark.page),
        "in_first_sentence": _mean(can, lambda mark: mark.first),
        "in_first_two_sentences": _mean(can, lambda mark: mark.second),
        **{name: _mean(can, _reader(name)) for name in ("exact", "f1", "rouge_l", "bleu")},
        "grounded": _mean(marks, lambda mark: mark.grounded),
        "risk_at_coverage": risk(marks),
        "denied_asked": sum(mark.asked_denied for mark in marks),
        "leaks": sum(mark.leaks for mark in marks),
        "median_ms": round(statistics.median(times)),
        "p95_ms": times[min(len(times) - 1, int(len(times) * 0.95))],
    }


def risk(marks: Sequence[Mark]) -> dict[str, float]:
    """Share of wrong answers among the surest part of all questions, for each coverage that was reached. To answer a
    question that has no answer is wrong."""
    sure = sorted((mark for mark in marks if mark.answered), key=lambda mark: -mark.sure)
    found = {}
    for coverage in COVERAGES:
        count = round(coverage * len(marks))
        if 0 < count <= len(sure):
            wrong = sum(not (mark.answerable and mark.second) for mark in sure[:count])
            found[f"{coverage:.1f}"] = round(wrong / count, 4)
    return found


def _reader(name: str) -> Callable[[Mark], float | None]:
    def read(mark: Mark) -> float | None:
        value: float | None = getattr(mark, name)
        return value

    return read


def _mean(marks: Sequence[Mark], value: Callable[[Mark], float | bool | None]) -> float | None:
    known = [float(found) for mark in marks if (found := value(mark)) is not None]
    return round(statistics.fmean(known), 4) if known else None
