"""Answers without a language model: the best sentences, word for word, each with its marker.

Knows nothing of how sentences are chosen; that is the scorer's work (``inference.evidence``). Every sentence
of the answer is a substring of a passage followed by `` [n]``, ``n`` counting the request's passages from 1.
Line breaks of a page stay inside the quotation, so that a citation can be checked by plain substring search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from inference.engines.base import Assessment, Delta, Evidence, Finish, GenerationRequest, Passage

MAX_QUOTATIONS = 3


class Scorer(Protocol):
    """What the engine needs when a request comes without evidence."""

    def assess(self, question: str, passages: Sequence[Passage]) -> Assessment: ...


class ExtractiveEngine:
    """Quotes ``request.evidence``; without evidence it asks ``scorer``, and without either it says
    nothing.
    """

    name = "extractive"
    model = "quotation"
    needs_prompt = False
    reasons = False

    def __init__(self, scorer: Scorer | None = None) -> None:
        self._scorer = scorer

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        """Yield one delta per quotation. ``completion_tokens`` counts quotations, there being no tokens."""
        started = time.monotonic()
        deadline = request.options.deadline_s
        chosen: Sequence[Evidence] = request.evidence
        if not chosen and self._scorer is not None and request.passages:
            chosen = self._scorer.assess(request.question, request.passages).evidence
        said = 0
        for item in chosen[:MAX_QUOTATIONS]:
            if cancelled():
                yield Finish("cancelled", completion_tokens=said)
                return
            if deadline is not None and time.monotonic() - started > deadline:
                yield Finish("deadline", completion_tokens=said)
                return
            quotation = request.passages[item.passage].text[item.char_start : item.char_end]
            text = f"{quotation.strip()} [{item.passage + 1}]"
            yield Delta("text", text if said == 0 else " " + text)
            said += 1
        yield Finish("stop", completion_tokens=said)

    def close(self) -> None:
        """Nothing is held."""
