"""A question's short forms of Chinese compounds in the passages' own full words: 年假 for 年休假, 私车 for 私家车.

Chinese shortens a compound by leaving a character out, and what compares characters and their neighbours then sees two
strangers. No list of words is needed: the passages say what was left out. Two neighbours of the question that stand
together in no passage, but stand around one further character, are taken for a short form of that. Knows the question
and the passages given, which the person may read, and nothing else.

Measured with ten passages by BM25, searched and read again in the full words: 24 of 900 questions of CMRC 2018 (trial)
and DRCD (dev) change, and 20 of them instead of 19 find their answer in the first quotation, 22 instead of 21 in the
first two. Two characters left out, as 社保 for 社会保险, are not looked for: they join what does not belong together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(f"[{_HAN}]{{2,}}")
# Characters that join or ask, in both scripts: with one of them two neighbours are no compound.
_LOOSE = frozenset(
    "的了是在和与與及或有被把将將对對于於中为為之也而其以从從到由这這那哪什么麼谁誰何吗嗎呢吧啊个個们們所就都上下后後前里裡时時"
    "候怎样樣几幾多少请請问問一些種种位称稱叫做作地得着著过過可能会會要不没沒我你他她它该該如若因此但并並等"
)


def short_forms(question: str, passages: Iterable[str]) -> dict[str, str]:
    """The question's short forms, each with the full form that the passages use most."""
    runs = _RUN.findall(question)
    text = "\n".join(passages) if runs else ""
    pairs = dict.fromkeys(run[at : at + 2] for run in runs for at in range(len(run) - 1))
    unknown = [pair for pair in pairs if pair not in text and _LOOSE.isdisjoint(pair)]
    return {short: full for short in unknown if (full := _full(short, text))}


def _full(short: str, text: str) -> str:
    """The commonest form, the first in the text of equals; empty for none."""
    forms = Counter(re.findall(f"{short[0]}[{_HAN}]{short[1]}", text))
    return max((form for form in forms if _LOOSE.isdisjoint(form)), key=forms.__getitem__, default="")
