"""Lines over runs as coordinates: the template writes them as SVG, without script or style of its own.

Knows numbers and the size of the picture. Does not know what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 24


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    words: str  # what assistive technology and a hovering pointer are told


@dataclass(frozen=True, slots=True)
class Line:
    """`number` counts from 1 and chooses colour and dashes."""

    number: int
    name: str
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        return " ".join(f"{point.x},{point.y}" for point in self.points)


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal line with its label."""

    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    lines: tuple[Line, ...]
    rules: tuple[Rule, ...]
    alarms: tuple[float, ...]  # x of what is marked
    first: str
    last: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    label: int = HEIGHT - 6


def chart(values: Mapping[str, Sequence[float | None]], times: Sequence[str], alarms: Sequence[bool]) -> Chart | None:
    """Shares (0 to 1) by name, one value for each run from old to new; None where nothing was measured.

    None for fewer than two runs: a line needs two ends."""
    if len(times) < 2:
        return None
    step = (WIDTH - LEFT - RIGHT) / (len(times) - 1)
    across = [round(LEFT + place * step, 1) for place in range(len(times))]
    lines = tuple(
        Line(
            number,
            name,
            tuple(
                Point(x, _down(value), f"{name}: {value:.0%} ({when})")
                for x, value, when in zip(across, row, times, strict=True)
                if value is not None
            ),
        )
        for number, (name, row) in enumerate(values.items(), start=1)
    )
    rules = tuple(Rule(_down(part / 4), f"{part / 4:.0%}") for part in range(5))
    marked = tuple(x for x, alarm in zip(across, alarms, strict=True) if alarm)
    return Chart(tuple(line for line in lines if line.points), rules, marked, times[0], times[-1])


def _down(value: float) -> float:
    return round(TOP + (1 - min(max(value, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM), 1)
