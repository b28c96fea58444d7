"""Runs of the golden set in words and numbers. Knows measures by name, rows of runs; no HTTP, no database."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .wording import duration

_MEASURES: dict[str, Any] = {
    "ndcg": _("Search finds the place (nDCG@10)"),
    "second": _("Answer in the first two sentences"),
    "in_first_two_sentences": _("Answer in the first two sentences"),
    "silence": _("Answers what can be answered, and nothing else"),
    "grounded": _("Words that stand in the quotations"),
    "recall": _("Places found (recall@10)"),
    "answered": _("Answered, of what can be answered"),
    "abstained": _("Left unanswered, of what cannot"),
    "right_page": _("First citation on the right page"),
    "in_first_sentence": _("Answer in the first sentence"),
    "exact": _("Exact match"),
    "f1": _("F1 of words"),
    "rouge_l": "ROUGE-L",
    "bleu": "BLEU",
}
_SHARES = (
    *("ndcg", "recall", "answered", "abstained", "right_page", "in_first_sentence", "in_first_two_sentences"),
    *("exact", "f1", "rouge_l", "bleu", "grounded"),
)
_RUN_TONES = {"queued": "idle", "running": "busy", "done": "good", "failed": "bad"}


def measure(name: str) -> str:
    """A measure of the golden set."""
    return str(_MEASURES.get(name, name))


def run_state(run: Any) -> dict[str, str]:
    """A run of the golden set: tone and words."""
    if run.status == "running":
        values = {"done": len(run.marks), "count": run.questions.questions}
        return {"tone": "busy", "words": gettext("%(done)s of %(count)s questions") % values}
    if run.alarm:
        return {"tone": "bad", "words": gettext("worse than the reference")}
    return {"tone": _RUN_TONES[run.status], "words": str(run.get_status_display())}


def run_facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of a run's figures, in reading order; what was not measured is left out."""
    facts = [(measure(name), f"{summary[name]:.1%}") for name in _SHARES if summary.get(name) is not None]
    risks = summary.get("risk_at_coverage", {})
    facts += [
        (gettext("Wrong among the surest %(share)s") % {"share": f"{float(share):.0%}"}, f"{risk:.1%}")
        for share, risk in risks.items()
    ]
    facts += [
        (gettext("People who saw what they may not"), f"{summary['leaks']} / {summary['denied_asked']}"),
        (gettext("Questions that failed"), str(summary["failed"])),
        (gettext("Answered by quotations in place of the model"), str(summary["fallbacks"])),
        (
            gettext("Time for a question: median, and of the slowest twentieth"),
            f"{duration(summary['median_ms'])}, {duration(summary['p95_ms'])}",
        ),
    ]
    return facts
