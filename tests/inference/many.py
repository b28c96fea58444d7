"""Requests to an engine, one or many at once."""

import threading

from inference.config import GenerationOptions
from inference.engines.base import GenerationRequest, Message, collect


def never() -> bool:
    return False


def asking(text: str, *, tokens: int = 24, caller: str = "", key: str = "", **options) -> GenerationRequest:
    settings = GenerationOptions(max_new_tokens=tokens, max_thinking_tokens=tokens, **options)
    return GenerationRequest(text, (), (Message("user", text),), options=settings, caller=caller, cache_key=key)


def together(engine, requests):
    """Every request on a thread of its own, all at once."""
    found = [None] * len(requests)

    def run(at):
        found[at] = collect(engine.stream(requests[at], cancelled=never))

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def crowd(engine, request, count):
    """The same request so many times at once: (what came of each, how many ran at most at one time)."""
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, engine.load[0])
        return False

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(collect(engine.stream(request, cancelled=watch))))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, most
