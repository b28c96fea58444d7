"""How much a text reads like instructions to a language model rather than like content.

Knows: wording, in English and Chinese, as rules (`injection_rules`) and as a small trained classifier (`train`), and
sentences that do not belong to the passage around them (`planted`). Does not know: access rights. A score is a flag: it
shows a banner, lowers a passage's rank, or asks a person to review the document; it never decides who may read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, prod

import numpy as np
from numpy.typing import NDArray

from . import planted, sanitize
from .features import windows
from .injection_rules import RULES
from .levels import THRESHOLD_BANNER as THRESHOLD_BANNER
from .levels import THRESHOLD_DOWNRANK as THRESHOLD_DOWNRANK
from .levels import THRESHOLD_QUARANTINE as THRESHOLD_QUARANTINE
from .weights import classifier

_CLASSIFIER_MOST = 0.8  # words alone never quarantine: a rule must agree


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that matched, where in the text, and its weight as evidence (0..1)."""

    rule: str
    start: int
    end: int
    weight: float


_SPACED = re.compile(r"(?:\b\w[ .\-_*]){5,60}\w\b")  # i g n o r e   p r e v i o u s


def find(text: str) -> list[Finding]:
    """Every rule that matches, by position. Hidden characters and look-alike tokens count too."""
    cleaned = sanitize.clean(text[: sanitize.PASSAGE_LIMIT])
    folded = sanitize.shadow(cleaned.text)
    found = _matches(folded)
    if _SPACED.search(folded):
        known = {finding.rule for finding in found}
        joined = _SPACED.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), folded)
        found += [Finding(f.rule, 0, len(text), f.weight) for f in _matches(joined) if f.rule not in known]
    if "tags" in cleaned.flags:
        found.append(Finding("hidden_text", 0, len(text), 0.6))
    found += [Finding("chat_token", match.start(), match.end(), 0.4) for match in _CHAT_TOKEN.finditer(folded)]
    return sorted(found, key=lambda finding: (finding.start, -finding.weight))


_CHAT_TOKEN = re.compile(r"<\|[^<>|\n]{1,48}\|>|\[/?inst\]|<</?sys>>|</?(?:start|end)_of_turn>")


def _matches(folded: str) -> list[Finding]:
    return [
        Finding(name, match.start(), match.end(), weight)
        for name, weight, pattern in (_ENGLISH_RULES if folded.isascii() else RULES)
        for match in pattern.finditer(folded)
    ]


_ENGLISH_RULES = tuple(rule for rule in RULES if not rule[0].endswith("_zh"))  # what plain ASCII can match at all


def rules_score(text: str) -> float:
    """The rules' part: each rule counts once, as independent evidence (noisy or)."""
    strongest: dict[str, float] = {}
    for finding in find(text):
        strongest[finding.rule] = max(finding.weight, strongest.get(finding.rule, 0.0))
    return 1.0 - prod(1.0 - weight for weight in strongest.values())


def classifier_score(text: str) -> float:
    """The classifier's part, by its likeliest window: 0.5 where 0.1 % of honest passages reach, and 0.5 % of mails."""
    model = classifier()
    logit = max((model.logit(window) for window in windows(text)), default=model.facts.bias)
    banner, downrank = model.facts.banner, model.facts.downrank
    if logit < banner:
        return 0.5 * exp(logit - banner)
    return min(_CLASSIFIER_MOST, 0.5 + 0.2 * (logit - banner) / (downrank - banner))


def planted_score(text: str, *, embed: planted.Embed | None = None) -> float:
    """The part of a sentence that does not belong here; a text without a context to stand out from has none."""
    return _highest(text, planted.suspects(text, embed=embed), embed)


def score(text: str, *, embed: planted.Embed | None = None) -> float:
    """0..1: how much this reads like an attempt to instruct the model.

    `embed` (texts to rows of length 1) lets the meaning of suspect sentences count as well.
    For many texts use `scores`.
    """
    return float(scores([text], embed=embed)[0])


def scores(texts: Sequence[str], *, embed: planted.Embed | None = None) -> NDArray[np.float32]:
    """`score` of each text, shape (len(texts),). What has to be embedded for all of them is embedded in one call."""
    out_of_place = planted.suspects_of([text[: sanitize.PASSAGE_LIMIT] for text in texts], embed=embed)
    found = [_joined(text, _highest(text, some, embed)) for text, some in zip(texts, out_of_place, strict=True)]
    return np.array(found, np.float32)


def _joined(text: str, by_place: float) -> float:
    by_words, by_rules = classifier_score(text), rules_score(text)
    # A question or two standing alone: people ask assistants for things, that is what they are for.
    counts = max(by_words, by_rules) >= THRESHOLD_BANNER
    if counts and by_words < THRESHOLD_DOWNRANK and len(planted.spans(text)) < planted.LEAST_SENTENCES:
        by_words = 0.0
    by_words = max(by_words, by_place)
    if by_rules == 0:
        return by_words if by_words >= THRESHOLD_BANNER else 0.0
    # Beside a strong rule the classifier confirms, less than as much again; a weak rule alone stays weak.
    support = by_words if by_words >= THRESHOLD_BANNER or by_rules >= THRESHOLD_BANNER else 0.0
    return 1.0 - (1.0 - by_rules) * (1.0 - 0.75 * support)


def _highest(text: str, found: list[planted.Suspect], embed: planted.Embed | None) -> float:
    return planted.level(found[0].logit, planted.packaged().levels(text, closer=embed is not None)) if found else 0.0


def without_suspects(text: str, *, embed: planted.Embed | None = None) -> str:
    """The text of a flagged passage with every suspect sentence made blank, for what goes to an engine.

    Same length: characters keep their places, so that what is quoted from the rest can still be found on its page.
    """
    banner, _ = planted.packaged().levels(text, closer=embed is not None)
    found = [(one.start, one.end) for one in planted.suspects(text, embed=embed) if one.logit >= banner]
    chars = list(text)
    for start, end in planted.spans(text):
        part = text[start:end]
        if (start, end) in found or rules_score(part) >= THRESHOLD_BANNER or classifier_score(part) >= THRESHOLD_BANNER:
            chars[start:end] = [char if char == "\n" else " " for char in part]
    return "".join(chars)
