"""Line drawings as SVG text: what a run's log, or a history of evaluations, looks like.

Knows numbers and names. No script, no style attribute and no outside file: the drawing may stand in a page under a
strict content security policy; colours come from classes when the page has them, from attributes when it has not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]
_COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df", "#6e7781")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 280, 64, 16, 40, 36


def lines(title: str, series: Mapping[str, Points], *, x: str = "step", marks: Sequence[float] = ()) -> str:
    """One drawing. `marks` are x positions with a vertical line (alarms); series without finite points are left out."""
    kept = {
        name: [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)] for name, points in series.items()
    }
    kept = {name: points for name, points in kept.items() if points}
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}" font-family="sans-serif" font-size="12">'
        f'<text class="chart-title" x="{_LEFT}" y="16" fill="currentColor">{escape(title)}</text>'
    )
    if not kept:
        return head + f'<text x="{_LEFT}" y="120" fill="currentColor">–</text></svg>'
    xs = [a for points in kept.values() for a, _ in points]
    ys = [b for points in kept.values() for _, b in points]
    low, high = _round_out(min(ys), max(ys))
    left, right = min(xs), max(xs)

    def place(a: float, b: float) -> tuple[float, float]:
        across = (a - left) / (right - left) if right > left else 0.5
        return (
            round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_TOP + (high - b) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    parts = [head]
    for number in range(5):
        value = low + (high - low) * number / 4
        _, y = place(left, value)
        parts.append(
            f'<line class="chart-grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" '
            f'stroke="currentColor" stroke-opacity="0.15"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" fill="currentColor">{value:.4g}</text>'
        )
    for mark in marks:
        at, _ = place(mark, low)
        parts.append(
            f'<line class="chart-mark" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
            f'stroke="#cf222e" stroke-dasharray="4 3"/>'
        )
    for number, (name, points) in enumerate(kept.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        where = [place(a, b) for a, b in points]
        path = " ".join(f"{a},{b}" for a, b in where)
        parts.append(f'<polyline class="chart-line" points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(where) <= 60:
            parts += [f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in where]
        parts.append(
            f'<text x="{_LEFT + 8 + number * 150}" y="{_TOP - 8}" fill="{colour}">'
            f"{escape(name)}: {points[-1][1]:.4g}</text>"
        )
    parts.append(
        f'<text x="{_LEFT}" y="{_HEIGHT - 12}" fill="currentColor">{escape(x)} {left:g}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 12}" text-anchor="end" fill="currentColor">{right:g}</text></svg>'
    )
    return "".join(parts)


def _round_out(low: float, high: float) -> tuple[float, float]:
    spread = (high - low) or abs(high) or 1.0
    return low - spread * 0.05, high + spread * 0.05
