"""The quality guard: a quantized model is offered only when it loses no more than the user allows.

Knows the recipes of `inference.quantization` and quality on held-out examples; how a recipe works is `loading`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import loading
from inference.errors import QuantizationRefused
from inference.quantization import Quantization
from inference.runs import models
from inference.runs.data import Examples


@dataclass(frozen=True, slots=True)
class Judged:
    """Quality before and after; `loss` is the relative rise of the perplexity, 0.05 being five per cent."""

    recipe: str
    before: dict[str, float]
    after: dict[str, float]
    bytes_before: int
    bytes_after: int

    @property
    def loss(self) -> float:
        return self.after["perplexity"] / self.before["perplexity"] - 1


def judge(folder: Path, recipe: Quantization, examples: Examples, *, device: str | None = None) -> Judged:
    """Measure a model folder unquantized and with a recipe. Raises what `loading.load` raises."""
    plain = loading.load(folder, device=device)
    before, size = models.quality(plain.model, examples), plain.bytes
    del plain
    small = loading.load(folder, quantize=recipe, device=device)
    return Judged(recipe, before, models.quality(small.model, examples), size, small.bytes)


def guard(judged: Judged, *, limit: float, warn: float | None = None) -> list[str]:
    """Warnings in words. Raises QuantizationRefused past `limit`."""
    if judged.loss > limit:
        raise QuantizationRefused(
            f"{judged.recipe} raises the perplexity by {judged.loss:.1%}, more than the {limit:.1%} allowed.",
            hint="Allow more, choose another recipe, or train with rounding first (--rounding).",
        )
    edge = limit / 2 if warn is None else warn
    if judged.loss > edge:
        return [f"{judged.recipe} raises the perplexity by {judged.loss:.1%} (allowed: {limit:.1%})."]
    return []


def choose(
    folder: Path, recipes: Sequence[Quantization], examples: Examples, *, limit: float, device: str | None = None
) -> tuple[Judged | None, dict[str, Any]]:
    """The smallest recipe within the limit, and what each came to; None when none is."""
    found: list[Judged] = []
    told: dict[str, Any] = {}
    for recipe in recipes:
        try:
            judged = judge(folder, recipe, examples, device=device)
            guard(judged, limit=limit)
        except QuantizationRefused as error:
            told[recipe] = {"refused": str(error)}
            continue
        told[recipe] = {"loss": round(judged.loss, 5), "bytes": judged.bytes_after, **judged.after}
        found.append(judged)
    return min(found, key=lambda item: item.bytes_after, default=None), told
