"""A golden set with a history: runs that were good, and one that was not."""

import json

from assistant.quality import drift
from assistant.quality import services as quality
from assistant.quality.marks import Mark, summary
from assistant.quality.models import GoldenRun, RunStatus, Why


def golden_runs(email: str) -> GoldenRun:
    """Five runs of a golden set of thirty questions; the last one is worse, and is returned."""
    rows = [{"id": str(n), "question": f"How much is allowance {n}?", "answers": ["28"], "answerable": n % 5 > 0,
             "as": email} for n in range(30)]  # fmt: skip
    questions = quality.replace("\n".join(map(json.dumps, rows)))
    first: list[Mark] = []
    for number in range(5):
        marks = [
            Mark(row["answerable"], row["answerable"], sure=0.9 - n / 60, ndcg=0.5 + n / 60, f1=0.3, grounded=1.0,
                 second=bool(row["answerable"] and (n >= 15 or number < 4)), ms=180 + n)
            for n, row in enumerate(rows)
        ]  # fmt: skip
        first = first or marks
        changes = drift.compare(first, marks)
        run = GoldenRun.objects.create(
            questions=questions, why=Why.SCHEDULE, status=RunStatus.DONE, engine="extractive", reference=number == 0,
            marks=[mark.row() for mark in marks], summary=summary(marks), drift=[change.row() for change in changes],
            alarm=any(change.alarm for change in changes), by="system", code="0.1.0+abc",
        )  # fmt: skip
    assert run.alarm
    return run
