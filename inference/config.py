"""Options of one generation, checked when they are built.

Knows nothing of any engine: an engine takes from here what it can use and must not change it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How one answer is generated.

    ``max_new_tokens`` and ``max_thinking_tokens`` are counts of tokens, ``deadline_s`` is seconds from the
    start of the stream (``None``: no deadline), ``temperature`` 0 means greedy, ``seed`` ``None`` means
    unseeded, ``stop`` are strings that end the answer and are not part of it. Raises ``ValueError`` on any
    value that no engine could honour.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    deadline_s: float | None = None
    max_thinking_tokens: int = 1024

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.max_thinking_tokens < 0:
            raise ValueError(f"max_thinking_tokens must not be negative: {self.max_thinking_tokens}")
        if not (math.isfinite(self.temperature) and 0.0 <= self.temperature <= 2.0):
            raise ValueError(f"temperature must lie between 0 and 2, not {self.temperature}")
        if not (math.isfinite(self.top_p) and 0.0 < self.top_p <= 1.0):
            raise ValueError(f"top_p must lie in (0, 1], not {self.top_p}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must lie in [0, 2**63), not {self.seed}")
        if not isinstance(self.stop, tuple) or not all(self.stop):
            raise ValueError("stop must be a tuple of strings that are not empty")
        if self.deadline_s is not None and not (math.isfinite(self.deadline_s) and self.deadline_s > 0):
            raise ValueError(f"deadline_s must be a positive number of seconds, not {self.deadline_s}")
