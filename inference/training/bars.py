"""What was asked of the reader, beside what it reaches: a table of the card. Knows the shape of ``finish.results``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHINESE = ("cmrc2018_trial", "drcd_dev")


@dataclass(frozen=True, slots=True)
class Bar:
    """``least`` (or, where ``most``, at most) of a number, for English and for Chinese sets; ``None``: none was set."""

    name: str
    columns: tuple[str, str]
    english: float
    chinese: float | None
    most: bool = False

    def of(self, name: str) -> float | None:
        """The bar for a set."""
        return self.chinese if name in CHINESE else self.english

    def met(self, name: str, value: float) -> bool:
        """Whether the number of a set reaches it; ``True`` where no bar was set."""
        bar = self.of(name)
        return bar is None or (value <= bar if self.most else value >= bar)


BARS = (
    Bar("answer in the first quotation", ("passage_first", "search_first"), 0.90, 0.80),
    Bar("in the first two", ("passage_two", "search_two"), 0.96, 0.90),
    Bar("wrong at 80 % coverage", ("passage_wrong_at_80", "search_wrong_at_80"), 0.10, None, most=True),
    Bar("AUC, answerable or not", ("auc_near", "auc_adversarial"), 0.85, None),
)
REMARKS = (
    "*adversarial* is the hardest: the reader is given the very passage that the question was written about.",
    "WEIGHING.md has a higher number for such questions, of the shipped reader asked about articles that it was",
    "trained on; it says nothing of unseen ones. The time added to a question (bar: at most 60 ms on two cores) is",
    "measured against the same engine without a trained reader by `python -m tests.benchmarks.reading`; its last",
    "figures stand in README.md.",
)


def section(results: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lines of Markdown: a row for every set, and how many sets meet each bar."""
    lines = [
        "## What was asked, and what is reached",
        "",
        "The numbers above, all on unseen articles, beside the bars that were set; in **bold** what misses its bar,",
        "*–* where nothing is measured or no bar was set. With 300 questions a share of 0.9 lies within 0.034 of the",
        "true one (95 %).",
        "",
        "| set | first: passage | search | two: passage | search | wrong at 80: passage | search | AUC: near | "
        "adversarial |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| *bar, English* | {' | '.join(_bar(bar.english, bar) for bar in BARS for _ in bar.columns)} |",
        f"| *bar, Chinese* | {' | '.join(_bar(bar.chinese, bar) for bar in BARS for _ in bar.columns)} |",
    ]
    for name, row in results.items():
        cells = [_cell(bar, name, row.get(column)) for bar in BARS for column in bar.columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| bar | English sets that meet it | Chinese |", "|---|---|---|"]
    for bar in BARS:
        for column in bar.columns:
            counts = [_count(bar, column, results, chinese) for chinese in (False, True)]
            kind = column.removeprefix("auc_").partition("_")[0]
            lines.append(f"| {bar.name}, {kind} | {' | '.join(counts)} |")
    return [*lines, "", *REMARKS]


def _bar(value: float | None, bar: Bar) -> str:
    return "–" if value is None else f"{'≤' if bar.most else '≥'} {value:.2f}"


def _cell(bar: Bar, name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if bar.met(name, value) else f"**{value:g}**"


def _count(bar: Bar, column: str, results: Mapping[str, Mapping[str, float]], chinese: bool) -> str:
    names = [name for name, row in results.items() if column in row and (name in CHINESE) == chinese]
    if not names or (chinese and bar.chinese is None):
        return "–"
    missed = [name for name in names if not bar.met(name, results[name][column])]
    told = f"; not {', '.join(missed)}" if missed and len(missed) < len(names) else ""
    return f"{len(names) - len(missed)} of {len(names)}{told}"
