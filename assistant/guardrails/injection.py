"""How much a text reads like instructions to a language model rather than like content.

Knows: wording, in English and Chinese. Does not know: access rights; a score is a flag for people and for
ranking, never the access control.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

from .sanitize import shadow

THRESHOLD_BANNER = 0.5
THRESHOLD_DOWNRANK = 0.7
THRESHOLD_QUARANTINE = 0.9


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that matched, where in the text, and its weight as evidence (0..1)."""

    rule: str
    start: int
    end: int
    weight: float


_RULES: tuple[tuple[str, float, re.Pattern[str]], ...] = tuple(
    (name, weight, re.compile(pattern))
    for name, weight, pattern in (
        (
            "override",
            0.92,
            r"\b(?:ignore|disregard|forget|override|bypass|do not follow|don't follow)\s{1,3}(?:\w{1,12}\s{1,3}){0,5}?"
            r"(?:instructions?|prompts?|directions?|guidelines?|rules|commands?|orders)\b",
        ),
        (
            "override_zh",
            0.92,
            r"(?:忽略|无视|忘记|忘掉|忽視|無視|不要理会|不用理会|抛开)[^。\n]{0,14}(?:指令|指示|提示词?|规则|要求|命令|限制|設定|设定)",
        ),
        (
            "persona",
            0.75,
            r"\b(?:you are|you're|act as|pretend to be) now\b|\byou are (?:dan|no longer)\b|\bdo anything now\b|\bdeveloper mode\b",
        ),
        (
            "reveal",
            0.8,
            r"\b(?:reveal|print|show|repeat|output|leak)\b[^.\n]{0,24}\b(?:system prompt|hidden prompt|your (?:instructions|prompt))\b",
        ),
        (
            "reveal_zh",
            0.8,
            r"(?:输出|显示|告诉我|打印|泄露|重复|说出)[^。\n]{0,10}(?:系统提示|提示词|初始指令|系统指令)",
        ),
        ("new_instructions", 0.7, r"\b(?:new|updated|important|real|actual) (?:system )?instructions?\s?:"),
    )
)


def find(text: str) -> list[Finding]:
    folded = shadow(text)
    return [
        Finding(name, match.start(), match.end(), weight)
        for name, weight, pattern in _RULES
        for match in pattern.finditer(folded)
    ]


def score(text: str) -> float:
    """0..1: how much this reads like an attempt to instruct the model."""
    strongest: dict[str, float] = {}
    for finding in find(text):
        strongest[finding.rule] = max(finding.weight, strongest.get(finding.rule, 0.0))
    return 1.0 - prod(1.0 - weight for weight in strongest.values())
