"""Measures of written answers against expected ones: exact match, F1 of words, ROUGE-L, BLEU, groundedness.

Exact match and F1 as SQuAD has them (Rajpurkar et al. 2016), with single characters for Chinese as CMRC 2018; ROUGE-L
is the F measure of the longest common subsequence (Lin 2004). Of several expected answers the best counts. BLEU is
sacrebleu's (Post 2018) of one sentence against all expected ones, Chinese by character. Groundedness is the share of an
answer's words that stand in its passages: lexical, a lower bound for paraphrases. Knows texts only.
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
_ARTICLES = {"a", "an", "the"}
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_MARKER = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Marks:
    """Of one answer, or means over many; each 0 to 1."""

    exact: float
    f1: float
    rouge_l: float


def tokens(text: str) -> list[str]:
    """Words in lower case without articles and citation markers; Chinese, Japanese and Korean by character."""
    plain = unicodedata.normalize("NFKC", _MARKER.sub(" ", text)).casefold()
    return [token for token in _TOKEN.findall(plain) if token not in _ARTICLES]


def judge(said: str, expected: Sequence[str]) -> Marks:
    """Against the best of the expected answers; saying nothing is right where nothing is expected."""
    own = tokens(said)
    if not expected:
        value = float(not own)
        return Marks(value, value, value)
    every = [tokens(answer) for answer in expected]
    return Marks(
        max(float(own == other) for other in every),
        max(_f1(own, other) for other in every),
        max(_rouge_l(own, other) for other in every),
    )


def mean(marks: Sequence[Marks]) -> Marks:
    """Raises ValueError when there is none."""
    if not marks:
        raise ValueError("no answers to judge")
    return Marks(*(statistics.fmean(getattr(item, name) for item in marks) for name in ("exact", "f1", "rouge_l")))


def bleu(said: str, expected: Sequence[str]) -> float:
    """0 to 1, over the orders of n-grams that the texts have. Raises ValueError when nothing is expected."""
    if not expected:
        raise ValueError("BLEU needs an expected answer")
    plain = _MARKER.sub(" ", said)
    return float(_bleu(bool(_CHINESE.search("".join(expected)))).sentence_score(plain, list(expected)).score) / 100


@lru_cache(maxsize=2)
def _bleu(chinese: bool) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True, lowercase=True, tokenize="zh" if chinese else "13a")


def groundedness(said: str, passages: Sequence[str]) -> float:
    """Share of the answer's words that stand in the passages, each as often as there; 1 for an empty answer."""
    own = Counter(tokens(said))
    known: Counter[str] = Counter()
    for passage in passages:
        known |= Counter(tokens(passage))
    total = sum(own.values())
    return sum((own & known).values()) / total if total else 1.0


def _f1(own: Sequence[str], other: Sequence[str]) -> float:
    shared = sum((Counter(own) & Counter(other)).values())
    return _harmonic(shared, len(own), len(other))


def _rouge_l(own: Sequence[str], other: Sequence[str]) -> float:
    row = [0] * (len(other) + 1)
    for token in own:
        before = 0
        for place, wanted in enumerate(other, start=1):
            before, row[place] = row[place], before + 1 if token == wanted else max(row[place], row[place - 1])
    return _harmonic(row[-1], len(own), len(other))


def _harmonic(shared: int, own: int, other: int) -> float:
    if not own or not other:
        return float(own == other)
    return 2 * shared / (own + other)
