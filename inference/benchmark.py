"""How fast a loaded model answers: first token, tokens per second, alone and with others.

Knows engines and clocks. Does not know where models come from; what it measures is the same for every engine.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from inference.config import GenerationOptions
from inference.engines.base import Delta, Engine, Finish, GenerationRequest, Message

_TEXT = (
    "The travel allowance in Germany is 28 euros per day for trips of more than 24 hours; receipts are handed in "
    "within 30 days. The head of the department approves trips abroad. Pumps are serviced every 2,000 hours by a "
    "technician. "
)


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one run: `first_token_ms` is the median over requests; `tokens_per_second` counts those of all answers."""

    users: int
    requests: int
    first_token_ms: float
    tokens_per_second: float
    tokens: int
    seconds: float


LOOK_SECONDS = 0.5  # between two looks at how far it is


def speed(
    engine: Engine,
    requests: Sequence[GenerationRequest],
    *,
    users: int,
    told: Callable[[int], None] = lambda done: None,
) -> Speed:
    """Answer all requests, `users` at a time, each user asking anew as soon as the last answer is there.

    `told` hears now and then how many are answered; what it raises ends the run within one step of the engine. Raises
    InferenceError if any request fails.
    """
    todo: Iterator[GenerationRequest] = iter(requests)
    lock, firsts, counts, ended = threading.Lock(), [], [], []
    failures: list[BaseException] = []
    stopped = threading.Event()

    def user() -> None:
        while not (failures or stopped.is_set()):
            with lock:
                request = next(todo, None)
            if request is None:
                return
            try:
                first, tokens = _one(engine, request, stopped.is_set)
            except BaseException as error:  # handed to the caller below
                failures.append(error)
                return
            with lock:
                firsts.append(first)
                counts.append(tokens)
                ended.append(time.perf_counter())

    threads = [threading.Thread(target=user) for _ in range(users)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            told(len(counts))
            _join(threads, LOOK_SECONDS)
    finally:
        stopped.set()
        _join(threads)
    if failures:
        raise failures[0]
    seconds = max(ended, default=began) - began
    total = sum(counts)
    return Speed(users, len(counts), statistics.median(firsts) * 1000, total / seconds, total, seconds)


def question(number: int, tokens: int) -> GenerationRequest:
    """A request of an ordinary length; each number gives another text."""
    text = f"Document {number}. {_TEXT * 3}\n\nQuestion {number}: what does it say about trips?"
    options = GenerationOptions(max_new_tokens=tokens, max_thinking_tokens=0)
    return GenerationRequest(text, (), (Message("user", text),), options=options, caller=str(number))


def _join(threads: Sequence[threading.Thread], seconds: float = float("inf")) -> None:
    """Wait for all of them, so long at most."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(None if seconds == float("inf") else max(0.0, until - time.monotonic()))


def _one(engine: Engine, request: GenerationRequest, cancelled: Callable[[], bool]) -> tuple[float, int]:
    """(seconds to the first piece, tokens)."""
    began = time.perf_counter()
    first = None
    stream = engine.stream(request, cancelled=cancelled)
    with closing(stream):  # type: ignore[type-var]
        for item in stream:
            if isinstance(item, Delta) and first is None:
                first = time.perf_counter() - began
            if isinstance(item, Finish):
                return first if first is not None else time.perf_counter() - began, item.completion_tokens
    return first or 0.0, 0
