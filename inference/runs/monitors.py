"""What a training's log says when one reads it with experience: sentences, not curves.

Knows the rows that `inference.runs.training` logs: loss, norm (of the gradient before clipping), held_out, and from
distillation teacher_entropy, student_entropy (nats per token) and soft (the divergence). Knows no model.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def explain(rows: Sequence[Row], *, clip: float, vocabulary: int = 0) -> list[str]:
    """Sentences about what looks wrong; empty when nothing does."""
    steps = [row for row in rows if "loss" in row]
    if not steps:
        return []
    return [
        *_gradients(steps, clip),
        *_entropies(steps, vocabulary),
        *_progress(steps, [row for row in rows if "held_out" in row]),
    ]


def _gradients(rows: Sequence[Row], clip: float) -> list[str]:
    norms = [row["norm"] for row in rows]
    found = []
    if any(not math.isfinite(norm) for norm in norms):
        return ["The gradient became infinite: lower the rate, or train in single precision."]
    late = norms[len(norms) // 2 :]
    clipped = sum(norm > clip for norm in late) / len(late)
    if clipped > 0.5:
        found.append(
            f"In the second half {clipped:.0%} of the logged steps were clipped (norm {statistics.median(late):.2g}, "
            f"limit {clip:g}): the rate in force is not the rate that was set. Lower the rate or raise the limit."
        )
    usual = statistics.median(norms)
    if len(norms) >= 8 and usual > 0 and max(norms[len(norms) // 4 :]) > 20 * usual:
        found.append(
            "The gradient jumped to more than twenty times its usual size: look for odd items, or lower the rate."
        )
    if len(norms) >= 8 and statistics.median(late) < 1e-5:
        found.append(
            "The gradient has vanished: nothing is learned any more. Are all weights frozen, or the labels masked?"
        )
    return found


def _entropies(rows: Sequence[Row], vocabulary: int) -> list[str]:
    late = [row for row in rows[len(rows) // 2 :] if "teacher_entropy" in row]
    if not late:
        return []
    teacher = statistics.fmean(row["teacher_entropy"] for row in late)
    student = statistics.fmean(row["student_entropy"] for row in late)
    found = []
    if teacher < 0.1:
        found.append(
            f"The teacher is almost certain of every token (entropy {teacher:.2f} nats): its soft targets say little "
            "more than the labels. Raise the temperature, or give it texts it has not learned by heart."
        )
    if vocabulary and teacher > 0.8 * math.log(vocabulary):
        found.append(
            f"The teacher knows next to nothing of these texts "
            f"(entropy {teacher:.2f} of {math.log(vocabulary):.2f} nats)."
        )
    if student < 0.5 * teacher and teacher >= 0.1:
        found.append(
            f"The student is far surer than its teacher ({student:.2f} against {teacher:.2f} nats): it learns labels "
            "by heart. Raise the share of the soft targets, or stop earlier."
        )
    if student > 1.6 * teacher + 0.2:
        found.append(
            f"The student is far less sure than its teacher ({student:.2f} against {teacher:.2f} nats): it has not "
            "learned enough yet, or is too small for it."
        )
    soft = [row["soft"] for row in rows if "soft" in row]
    if len(soft) >= 8 and statistics.fmean(soft[-len(soft) // 4 :]) > 0.98 * statistics.fmean(soft[: len(soft) // 4]):
        found.append("The distance to the teacher has not shrunk. Is it the right teacher, vocabulary and rate?")
    return found


def _progress(steps: Sequence[Row], judged: Sequence[Row]) -> list[str]:
    found = []
    if any(not math.isfinite(row["loss"]) for row in steps):
        return ["The loss is not a number: lower the rate, or train in single precision."]
    if len(judged) >= 4:
        values = [row["held_out"] for row in judged]
        best = min(range(len(values)), key=values.__getitem__)
        if best < len(values) - 2 and values[-1] > values[best] * 1.02:
            found.append(
                f"On held-out data the best was at step {judged[best]['step']}; after that only the training data got "
                "better. The best state was kept; fewer steps would do."
            )
        elif best == len(values) - 1 and values[-2] - values[-1] > 0.01 * values[-1]:
            found.append("The held-out loss was still falling at the end: more steps would help.")
    if len(steps) >= 8:
        first, last = (statistics.fmean(row["loss"] for row in part) for part in (steps[:2], steps[-2:]))
        if last > 0.98 * first:
            found.append("The training loss has hardly moved: raise the rate, or look at the data.")
    return found
