"""The small file that holds the classifier: one line of JSON, then one signed byte per feature.

Knows: the format and its bounds. Does not know: how the weights were found (`train`), what a score means (`injection`).
"""

from __future__ import annotations

import json
from array import array
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import sqrt
from pathlib import Path

from .features import SIZE, features

PATH = Path(__file__).with_name("injection.weights")


@dataclass(frozen=True, slots=True)
class Facts:
    """`scale`: of a byte; `banner` and `downrank`: logits by the rule of `calibration`."""

    scale: float
    bias: float
    banner: float
    downrank: float


@dataclass(frozen=True, slots=True)
class Classifier:
    facts: Facts
    weights: array[int]

    def logit(self, text: str) -> float:
        """Of one window of text: above zero means more likely an instruction to a model than not."""
        present = features(text)
        if not present:
            return self.facts.bias
        total = sum(self.weights[index] for index in present)
        return total * self.facts.scale / sqrt(len(present)) + self.facts.bias


def save(path: Path, facts: Facts, weights: array[int]) -> None:
    path.write_bytes(json.dumps(asdict(facts)).encode() + b"\n" + weights.tobytes())


def load(path: Path) -> Classifier:
    """Raises ValueError when the file is not one of ours."""
    header, _, body = path.read_bytes().partition(b"\n")
    if len(body) != SIZE:
        raise ValueError(f"{path} holds {len(body)} weights, not {SIZE}")
    return Classifier(Facts(**json.loads(header)), array("b", body))


@lru_cache(maxsize=1)
def classifier() -> Classifier:
    """The packaged one, read once per process."""
    return load(PATH)
