"""The levels of the shipped detectors, by one rule for every training and for setting them again.

Sources of honest text differ: a level that 0.4 % of all text reaches can be one that 3 % of mails reach. So each source
is looked at alone, its Chinese passages apart, and the strictest source of a script decides.

Knows: logits of honest passages that were not trained on. Does not know: attacks, which have no say in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from retrieval.text import cjk_share

from . import planted, sanitize
from .planted import Embed, Model

Floats = NDArray[np.float64]
Levels = tuple[float, float]  # logits: banner, ranked down

PLANTED_SHARE = 0.004  # of a source's passages may reach the banner, to the nearest passage
PLANTED_LEAST = 1.0  # however calm the sources are: e times likelier planted than not
WORDS_SHARE, WORDS_SHARE_MAILS = 0.001, 0.005
CLEAR = 0.5  # above the banner: ranked down

_FEW = 50  # passages below which a source says nothing about a script
_NOTHING = -20.0  # the logit of a passage without a sentence
_TOGETHER = 64


def planted_levels(sources: Iterable[Floats]) -> Levels:
    """From the most suspect sentence's logit in each passage of one script, by source; to two decimals."""
    banner = PLANTED_LEAST
    for logits in sources:
        if len(logits) < _FEW:
            continue
        falling = np.sort(logits)[::-1]
        reach = round(PLANTED_SHARE * len(logits))
        level = floor(100 * falling[reach - 1]) if reach else floor(100 * falling[0]) + 1
        banner = max(banner, level / 100)
    return banner, round(banner + CLEAR, 2)


def words_levels(passages: Floats, mails: Floats) -> Levels:
    """Of the classifier of wording: from the likeliest window's logit in honest passages, and in mails where there are
    any. Nothing is ranked down that is not likelier an instruction than not."""
    banner = float(np.quantile(passages, 1 - WORDS_SHARE))
    if len(mails):
        banner = max(banner, float(np.quantile(mails, 1 - WORDS_SHARE_MAILS)))
    return round(banner, 4), round(max(0.0, banner + CLEAR), 4)


def highest(texts: Iterable[str], model: Model, embed: Embed | None) -> Floats:
    """The most suspect sentence's logit of each passage."""
    given = [text[: sanitize.PASSAGE_LIMIT] for text in texts]
    found = [
        some
        for at in range(0, len(given), _TOGETHER)
        for some in planted.suspects_of(given[at : at + _TOGETHER], model=model, embed=embed)
    ]
    return np.array([some[0].logit if some else _NOTHING for some in found])


def calibrated(model: Model, sources: Sequence[list[str]], embed: Embed) -> Model:
    """The model with the levels that the rule gives on honest passages of these sources."""

    def levels(finder: Embed | None, chosen: tuple[bool, ...]) -> Levels:
        return planted_levels(
            highest([text for text in texts if _is_chinese(text) == chinese], model, finder)
            for texts in sources
            for chinese in chosen
        )

    return replace(
        model,
        coarse_levels=levels(None, (False, True)),
        fine_levels=levels(embed, (False,)),
        chinese_levels=levels(embed, (True,)),
    )


def _is_chinese(text: str) -> bool:
    return cjk_share(text) > planted.CHINESE
