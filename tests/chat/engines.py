"""Engines for tests: real implementations of the protocol that say what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from inference.engines.base import Delta, Finish, GenerationRequest
from inference.errors import InferenceError


@dataclass
class ScriptedModel:
    """A language model that says `script`, piece by piece; it counts a token for every four characters."""

    script: Sequence[str | Delta | InferenceError]
    name: str = "scripted"
    model: str = "scripted-1"
    needs_prompt: bool = True
    reasons: bool = False
    context_tokens: int = 2000
    requests: list[GenerationRequest] = field(default_factory=list)

    def count_tokens(self, text: str) -> int:
        return len(text) // 4 + 1

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        self.requests.append(request)
        for item in self.script:
            if cancelled():
                yield Finish("cancelled")
                return
            if isinstance(item, InferenceError):
                raise item
            yield item if isinstance(item, Delta) else Delta("text", item)
        yield Finish("stop", prompt_tokens=10, completion_tokens=len(self.script))

    def close(self) -> None:
        pass


@dataclass
class SlowModel(ScriptedModel):
    """Says its script, then goes on until it is cancelled or `release` is set. `speaking` is set after the script."""

    speaking: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        for item in self.script:
            yield Delta("text", str(item))
        self.speaking.set()
        while not self.release.wait(0.01):
            if cancelled():
                yield Finish("cancelled")
                return
        yield Finish("stop")
