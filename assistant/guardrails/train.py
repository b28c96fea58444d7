"""Trains the small classifier of instruction-like text.

    python -m assistant.guardrails.train --labelled FILE.jsonl … --benign FILE.jsonl|DIRECTORY …
        --mails FILE.jsonl|DIRECTORY … --output FILE

Labelled lines hold `text` and `label` (1 attack, 0 benign), benign lines `text` or `question`; a directory gives its
.md and .txt files. Our own `examples` are added. Attack strings that are honest alone ("Explain gravity.")
do not belong among the attacks: they would teach it to distrust questions.

Logistic regression (Adam) over hashed features of windows; an attack is a bag of windows of which only the likeliest
third is kept after each round (multiple-instance learning: Andrews et al., 2002). A quarter of the passages is held out
to set the levels; `--mails`, honest ones, are never trained on and set them too (`calibration`). The last line printed
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import examples
from .calibration import words_levels
from .features import SIZE, features, windows
from .weights import Facts, save

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]
_PASSAGE = 900  # characters: about what one chunk of a document holds
_ROUNDS, _EPOCHS, _BATCH, _RATE, _DECAY = 3, 12, 1024, 0.02, 1e-6


@dataclass(slots=True)
class Bag:
    """One passage: its windows' features, where it came from, whether it is a document (not a lone question)."""

    source: str
    windows: list[Indices]
    document: bool = True


@dataclass(slots=True)
class Linear:
    weights: Floats
    bias: float

    def logits(self, rows: list[Indices]) -> Floats:
        indices, owners, scale = _flat(rows)
        sums = np.bincount(owners, weights=self.weights[indices], minlength=len(rows)).astype(np.float64)
        return sums * scale + self.bias

    def bag_logits(self, bags: list[Bag]) -> Floats:
        """The highest logit of each passage's windows."""
        flat = self.logits([window for bag in bags for window in bag.windows])
        ends = np.cumsum([len(bag.windows) for bag in bags])
        return np.array([part.max() if len(part) else self.bias for part in np.split(flat, ends[:-1])])


def _flat(rows: list[Indices]) -> tuple[Indices, NDArray[np.int64], Floats]:
    lengths = np.array([len(row) for row in rows])
    scale: Floats = 1 / np.sqrt(np.maximum(lengths, 1))
    return np.concatenate(rows), np.repeat(np.arange(len(rows)), lengths), scale


def fit(rows: list[Indices], labels: Floats, importance: Floats, *, seed: int = 0) -> Linear:
    """Logistic regression; `importance` weighs each row."""
    model = Linear(np.zeros(SIZE), 0.0)
    mean, square = np.zeros(SIZE + 1), np.zeros(SIZE + 1)
    dice = np.random.default_rng(seed)
    step = 0
    for _ in range(_EPOCHS):
        order = dice.permutation(len(rows))
        for start in range(0, len(rows), _BATCH):
            chosen = order[start : start + _BATCH]
            batch = [rows[at] for at in chosen]
            indices, owners, scale = _flat(batch)
            error = (1 / (1 + np.exp(-model.logits(batch))) - labels[chosen]) * importance[chosen] / len(batch)
            gradient = np.append(
                np.bincount(indices, weights=(error * scale)[owners], minlength=SIZE) + _DECAY * model.weights,
                error.sum(),
            )
            step += 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            change = _RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * mean / (np.sqrt(square) + 1e-8)
            model.weights -= change[:-1]
            model.bias -= float(change[-1])
    return model


def train(attacks: list[Bag], benign: list[Bag]) -> Linear:
    clean = [window for bag in benign for window in bag.windows]
    likely = [(window, len(bag.windows) ** -0.5) for bag in attacks for window in bag.windows]
    model = Linear(np.zeros(SIZE), 0.0)
    for _ in range(_ROUNDS):
        share = np.array([share for _, share in likely])
        importance = np.concatenate([np.ones(len(clean)), share * 0.25 * len(clean) / share.sum()])
        labels = np.concatenate([np.zeros(len(clean)), np.ones(len(likely))])
        model = fit([*clean, *(window for window, _ in likely)], labels, importance)
        likely = []
        for bag in attacks:
            keep = max(1, len(bag.windows) // 3)
            best = np.argsort(-model.logits(bag.windows))[:keep]
            likely += [(bag.windows[at], 1 / keep) for at in best]
    return model


def quantized(model: Linear) -> tuple[array[int], float]:
    scale = float(np.abs(model.weights).max()) / 127
    return array("b", np.round(model.weights / scale).astype(np.int8).tobytes()), scale


# --- material ---


def passages(text: str) -> Iterator[str]:
    return (text[at : at + _PASSAGE] for at in range(0, len(text), _PASSAGE))


def _bag(source: str, text: str, *, document: bool = True) -> Bag:
    return Bag(source, [np.fromiter(features(window), np.int32) for window in windows(text)[:12]], document)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def material(
    labelled: Iterable[Path], benign: Iterable[Path], *, most: int, own: int, seed: int
) -> tuple[list[Bag], list[Bag]]:
    """Bags of attacks and of benign passages; at most `most` passages from one benign source."""
    dice = random.Random(seed)  # noqa: S311  (a reproducible sample, no secret)
    attacks = [_bag("own", text) for text in examples.planted(own, seed=seed)]
    clean = [_bag("own", text) for text in examples.honest(own, seed=seed)]
    for path in labelled:
        for line in _lines(path):
            if line["label"]:
                attacks.append(_bag(path.stem, line["text"]))
            else:
                document = "document" in str(line.get("kind", ""))
                clean += [_bag(path.stem, part, document=document) for part in passages(line["text"])]
    for path in benign:
        parts = [part for text in texts_of(path) for part in passages(text)]
        document = ".questions" not in path.stem
        clean += [_bag(path.stem, part, document=document) for part in dice.sample(parts, min(most, len(parts)))]
    return [bag for bag in attacks if bag.windows], [bag for bag in clean if bag.windows]


def texts_of(path: Path) -> list[str]:
    if path.is_file():
        return [line.get("text") or line["question"] for line in _lines(path)]
    files = [file for file in sorted(path.rglob("*")) if file.suffix in {".md", ".txt"}]
    return [file.read_text("utf-8", "replace") for file in files]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train the classifier of instruction-like text.")
    parser.add_argument("--labelled", nargs="+", type=Path, default=[])
    parser.add_argument("--benign", nargs="+", type=Path, default=[])
    parser.add_argument("--mails", nargs="+", type=Path, default=[])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--most", type=int, default=2500, help="passages from one benign source")
    parser.add_argument("--own", type=int, default=3000, help="sentences of our own of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    attacks, benign = material(options.labelled, options.benign, most=options.most, own=options.own, seed=options.seed)
    dice = random.Random(options.seed)  # noqa: S311
    held = {id(bag) for bag in [*attacks, *benign] if dice.random() < 0.25}
    model = train([bag for bag in attacks if id(bag) not in held], [bag for bag in benign if id(bag) not in held])
    weights, scale = quantized(model)
    coarse = Linear(np.array(weights, dtype=np.float64) * scale, model.bias)
    calm = coarse.bag_logits([bag for bag in benign if id(bag) in held and bag.document])
    letters = [_bag(path.stem, text) for path in options.mails for text in texts_of(path)]
    mails = coarse.bag_logits(letters) if letters else np.zeros(0)
    facts = Facts(round(scale, 8), round(model.bias, 6), *words_levels(calm, mails))
    save(options.output, facts, weights)
    found = {}
    for source in sorted({bag.source for bag in attacks}):
        logits = coarse.bag_logits([bag for bag in attacks if id(bag) in held and bag.source == source] or attacks[:1])
        found[source] = round(float((logits >= facts.banner).mean()), 3)
    counts = {"attacks": len(attacks), "benign": len(benign), "benign_held_out": len(calm), "mails": len(mails)}
    sys.stdout.write(json.dumps({**asdict(facts), **counts, "found_held_out": found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
