"""From token ids to the text people see: sampling, whole characters, stop strings, and reasoning kept apart.

Knows one sequence at a time. Does not know models; `engines.transformers` feeds it logits and ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inference.config import GenerationOptions
from inference.engines.base import Delta, DeltaKind

if TYPE_CHECKING:
    import torch

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"


class Sampler:
    """Temperature and nucleus sampling (Holtzman et al. 2020) with a seed of its own; temperature 0 is greedy."""

    def __init__(self, options: GenerationOptions, device: str) -> None:
        import torch

        self._temperature, self._top_p = options.temperature, options.top_p
        self._generator = torch.Generator(device=device)
        if options.seed is not None:
            self._generator.manual_seed(options.seed)
        else:
            self._generator.seed()

    def __call__(self, logits: torch.Tensor) -> int:
        """`logits` of shape (vocabulary,) -> one token id."""
        import torch

        if self._temperature == 0.0:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.float() / self._temperature, dim=-1)
        if self._top_p < 1.0:
            ordered, indices = probabilities.sort(descending=True)
            beyond = ordered.cumsum(0) - ordered >= self._top_p
            ordered[beyond] = 0.0
            probabilities = torch.zeros_like(probabilities).scatter_(0, indices, ordered)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


class StopFilter:
    """Lets text through until a stop string appears; holds back what could be the start of one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Text that is safe to show now. After `stopped` nothing more comes."""
        if self.stopped:
            return ""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def flush(self) -> str:
        shown, self._held = self._held, ""
        return shown


class ThinkingSplitter:
    """Splits a reasoning model's stream into thinking and answer.

    `begins_inside`: the prompt already ended with the opening tag (the R1 family). `may_think`: the model is of the
    reasoning kind, so text before a closing tag is thinking even when no opening tag was written; it is held back
    until that is known. Of any other model only what follows an opening tag at the very beginning is thinking.
    `unopened`: a closing tag came that nothing had opened; of any other model, in what was let through as text.
    """

    def __init__(self, *, begins_inside: bool, may_think: bool) -> None:
        self._state = "thinking" if begins_inside else ("unknown" if may_think else "beginning")
        self._held = ""
        self._trim = False
        self._tail = ""  # of text before which nobody thought
        self.unopened = False

    @property
    def thinking(self) -> bool:
        """Whether the next words are thinking, or may be."""
        return self._state in {"thinking", "unknown"}

    def push(self, text: str) -> Iterator[Delta]:
        self._held += text
        while True:
            if self._state == "beginning":
                begun = self._held.lstrip()
                if len(begun) < len(THINK_OPEN) and THINK_OPEN.startswith(begun):
                    return
                self._state = "unknown" if begun.startswith(THINK_OPEN) else "text"
                continue
            if self._state == "unknown":
                opened, closed = self._held.find(THINK_OPEN), self._held.find(THINK_CLOSE)
                if opened >= 0 and (closed < 0 or opened < closed) and not self._held[:opened].strip():
                    self._held, self._state = self._held[opened + len(THINK_OPEN) :], "thinking"
                    continue
                if closed >= 0:
                    self._state, self.unopened = "thinking", True
                    continue
                return
            if self._state == "thinking":
                at = self._held.find(THINK_CLOSE)
                if at >= 0:
                    yield from self._delta("thinking", self._held[:at])
                    self._held, self._state, self._trim = self._held[at + len(THINK_CLOSE) :], "answer", True
                    continue
                keep = _overlap(self._held, THINK_CLOSE)
                yield from self._delta("thinking", self._held[: len(self._held) - keep])
                self._held = self._held[len(self._held) - keep :]
                return
            if self._trim:  # blank lines between thinking and answer belong to neither
                self._held = self._held.lstrip()
                if not self._held:
                    return
                self._trim = False
            if self._state == "text":
                self.unopened = self.unopened or THINK_CLOSE in self._tail + self._held
                self._tail = (self._tail + self._held)[1 - len(THINK_CLOSE) :]
            yield from self._delta("text", self._held)
            self._held = ""
            return

    def flush(self, *, cut: bool = False) -> Iterator[Delta]:
        """At the end: what is still held. Text of an undecided model that never closed a tag is its answer, unless it
        was cut off (`cut`) and might have closed one yet."""
        kind: DeltaKind = "thinking" if self._state == "thinking" or (cut and self._state == "unknown") else "text"
        yield from self._delta(kind, self._held)
        self._held = ""

    @staticmethod
    def _delta(kind: DeltaKind, text: str) -> Iterator[Delta]:
        if text:
            yield Delta(kind, text)


def _overlap(text: str, marker: str) -> int:
    """Length of the longest end of `text` that is a proper beginning of `marker`."""
    for length in range(min(len(text), len(marker) - 1), 0, -1):
        if marker.startswith(text[-length:]):
            return length
    return 0
