"""Refused connections become events. Knows: the file in which the egress guard of every process leaves them, one JSON
line each. Does not know: how they are refused (`egress`).

The file is taken away, its lines recorded, then thrown away: after a crash in between they are recorded once more.
"""

from __future__ import annotations

import json
from pathlib import Path

from assistant import egress

from . import services

_AT_ONCE = 200  # events of one run; the rest are counted in one


def record_refusals() -> int:
    """Put what was refused since the last time on record; how many lines there were."""
    path = egress.record_path()
    if path is None:
        return 0
    taken = path.with_suffix(".taken")
    if not taken.exists():
        try:
            path.replace(taken)
        except FileNotFoundError:
            return 0
    lines = _lines(taken)
    for line in lines[:_AT_ONCE]:
        services.record(action="egress.refused", outcome="refused", detail=line)
    if len(lines) > _AT_ONCE:
        services.record(action="egress.refused", outcome="refused", detail={"more": len(lines) - _AT_ONCE})
    taken.unlink()
    return len(lines)


def _lines(path: Path) -> list[dict[str, str]]:
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # half a line after a crash
            continue
        found.append({"target": str(entry.get("target", ""))[:300], "process": str(entry.get("process", ""))[:200]})
    return found
