"""How long each stage of an answer took. Knows nothing of what the stages do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Milliseconds by stage since the work began; `wall` is that moment, in seconds since 1970."""

    def __init__(self) -> None:
        self.wall = time.time()
        self._started = time.monotonic()
        self.stages: dict[str, int] = {}

    def elapsed(self) -> int:
        """Milliseconds since the work began."""
        return round((time.monotonic() - self._started) * 1000)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to this stage, whether or not it ends well."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0) + round((time.monotonic() - begun) * 1000)
