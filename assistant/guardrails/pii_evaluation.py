"""How well personal data is found, and how long the longest search takes.

    python -m assistant.guardrails.pii_evaluation [--number 1000] [--seed 1] [--set FILE.jsonl …] [--no-times]

For each class: as many generated values as near misses (one check character off, dates, order numbers), in English and
Chinese sentences, full width and spaced. A value counts as found when exactly its characters are found as its class; a
find is wrong when it covers anything else. `--set` adds lines of {"text", "spans": [{"start", "end", "type"}]} written
by others, of which the classes known here count (found: overlapped by a find of its class). Last, each recognizer reads
100 KB of text made to be slow for it; the bar is 50 ms.

Prints a line for each class with n and the 95 % Wilson intervals; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import pii
from .evaluate import Count
from .pii_examples import CHECKED, MAKERS, Example, examples

HOSTILE_CHARS = 100_000
HOSTILE = (
    "1", "1 ", "1-", "1.", "(1) ", "+1", "1234 ", "4112 ", "12 ", "a", "a.", "a@", "a@a.", "@", ":", "1:", "f:",
    "de89", "de89 ", "京a", "京a1", "4111 1111 1111 1111 ", "138 1234 5678 ", "passport ", "卡号1", "0", "00", "(",
    "x1", "tel 1", "11010519491231002 ", "91350100m", "6222 0212 ", "1 1", "0.0.0.", "8610", "nightingal", "夜莺",
)  # fmt: skip
_THEIR_NAMES = {
    "CREDIT_CARD": "CARD", "EMAIL_ADDRESS": "EMAIL", "PHONE_NUMBER": "PHONE", "IBAN_CODE": "IBAN", "IP_ADDRESS": "IP",
    "US_SSN": "SSN", "US_PASSPORT": "PASSPORT",
}  # fmt: skip


@dataclass(slots=True)
class Score:
    """`recall`: values found. `precision`: finds that are values."""

    recall: Count = field(default_factory=Count)
    precision: Count = field(default_factory=Count)

    def as_dict(self) -> dict[str, Any]:
        return {"recall": self.recall.as_dict(), "precision": self.precision.as_dict()}


def measured(given: Iterable[Example]) -> dict[str, Score]:
    """Exact places. A find in a near miss, or of another class, is wrong for the class that was found."""
    scores: dict[str, Score] = defaultdict(Score)
    for example in given:
        found = [(span.start, span.end, span.type) for span in pii.find(example.text)]
        wanted = (example.start, example.end, example.kind)
        if example.kind:
            scores[example.kind].recall.add(wanted in found)
        for item in found:
            scores[item[2]].precision.add(item == wanted)
    return scores


def measured_elsewhere(lines: Iterable[dict[str, Any]]) -> dict[str, Score]:
    """Sets by others, whose ideas of where a value ends differ: overlap counts."""
    scores: dict[str, Score] = defaultdict(Score)
    for line in lines:
        wanted = [
            (span["start"], span["end"], kind)
            for span in line["spans"]
            if (kind := _THEIR_NAMES.get(span["type"], span["type"])) in pii.TYPES
        ]
        found = pii.find(line["text"])
        for start, end, kind in wanted:
            hit = any(span.start < end and start < span.end and span.type == kind for span in found)
            scores[kind].recall.add(hit)
        for span in found:
            hit = any(span.start < end and start < span.end and span.type == kind for start, end, kind in wanted)
            scores[span.type].precision.add(hit)
    return scores


def slowest(chars: int = HOSTILE_CHARS) -> list[tuple[float, str, str]]:
    """(milliseconds of processor time, recognizer, the text's unit), the worst first; the better of two runs each."""
    taken = []
    for name, recognize in pii.RECOGNIZERS:
        for unit in HOSTILE:
            text = (unit * chars)[:chars]
            times = []
            for _ in range(2):
                begun = time.process_time()
                for _span in recognize(text):
                    pass
                times.append(time.process_time() - begun)
            taken.append((round(1000 * min(times), 1), name, unit))
    return sorted(taken, reverse=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the recognizers of personal data.")
    parser.add_argument("--number", type=int, default=1000, help="values, and as many near misses, of each class")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", type=Path, nargs="*", default=[], dest="sets")
    parser.add_argument("--no-times", action="store_true")
    options = parser.parse_args(arguments)
    made = [example for kind in MAKERS for example in examples(kind, options.number, seed=options.seed)]
    generated = measured(made)
    report: dict[str, Any] = {"generated": _told("generated", generated)}
    for path in options.sets:
        report[path.stem] = _told(path.stem, measured_elsewhere(_lines(path)))
    worst = min(
        min(report["generated"][kind]["recall"]["share"], report["generated"][kind]["precision"]["share"])
        for kind in CHECKED
    )
    report["checksum_classes_worst"] = worst
    if not options.no_times:
        times = slowest()
        for milliseconds, name, unit in times[:5]:
            sys.stdout.write(f"slowest on {HOSTILE_CHARS} characters: {milliseconds:6.1f} ms  {name} {unit!r}\n")
        report["slowest_ms"] = times[0][0]
        report["slowest_to_bar"] = round(times[0][0] / 50.0, 2)
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    return 0


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _told(title: str, scores: dict[str, Score]) -> dict[str, Any]:
    for kind, score in sorted(scores.items()):
        for name, count in (("recall", score.recall), ("precision", score.precision)):
            told = count.as_dict()
            share = "   -" if told["share"] is None else f"{told['share']:7.2%}"
            interval = f"[{told['low']:.2%}, {told['high']:.2%}]"
            sys.stdout.write(f"{title:26} {kind:14} {name:10} {share}  {interval}  n={told['n']}\n")
    return {kind: score.as_dict() for kind, score in sorted(scores.items())}


if __name__ == "__main__":
    sys.exit(main())
