"""Which code this is: the release, and a digest over the source of everything an answer goes through."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

RELEASE = "0.1.0"
_ROOMS = ("assistant/chat", "assistant/documents", "assistant/guardrails", "inference", "retrieval")


@lru_cache(maxsize=1)
def code() -> str:
    """ "0.1.0+" and twelve hexadecimal digits; read once per process, so it names the code that runs."""
    root, sums = Path(__file__).resolve().parent.parent, hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (root / room).rglob("*.py")):
        sums.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{RELEASE}+{sums.hexdigest()[:12]}"
