"""Trains what tells an instruction planted in a passage (`planted`) from the passage's own sentences.

    python -m assistant.guardrails.train_planted --benign FILE.jsonl|DIRECTORY … --qa PREFIX … --attacks FILE.jsonl …
        --calibrate FILE.jsonl|DIRECTORY … --output FILE

Benign material gives honest passages and the hosts into which requests are planted; `--qa PREFIX` reads
PREFIX.contexts.jsonl and PREFIX.questions.jsonl: questions stand beside their own passage in honest "frequently asked
questions", and far from it as plants. Attacks (lines with `text` and `label` 1) are planted beside those of `requests`
and `examples`. `--hold` leaves attacks whose `category` or kind is named out of the training and reports them.
`--calibrate` is never trained on: each of its sources sets the levels (`calibration`). With `--model FILE` nothing is
trained: the levels of that file are set again by the same rule, which is how the shipped ones were made (mails, and
three kinds of Chinese text).

Stages: words by logistic regression in two folds, so that the networks see honest logits; a network over context; a
second one with the meaning of candidates, on a sample, for embedding is slow. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retrieval.text import cjk_share, sentences

from . import calibration, examples, planted, train
from .planted import Embed, Floats, Model
from .requests import requests

CANDIDATE = 0.985  # share of honest sentences that are not looked at again
HIDDEN, EPOCHS, BATCH, RATE = 24, 10, 512, 3e-3
_NONE = (0.0, 0.0)  # levels before they are set
_CHARS = (350, 1000)  # of a passage: shorter ones and longer ones


@dataclass(slots=True)
class Sample:
    """A passage; `kind` is "" when it is honest, else where its planted sentence comes from."""

    text: str
    kind: str = ""
    seen: planted.View = field(default_factory=lambda: planted.View([], [], np.zeros((0, 22), np.float32)))
    labels: list[float] = field(default_factory=list)
    rows: Floats = field(default_factory=lambda: np.zeros((0, 27), np.float32))


def sample(text: str, *, plant: tuple[int, int] | None = None, kind: str = "") -> Sample:
    seen = planted.view(text)
    start, end = plant or (0, 0)
    return Sample(text, kind, seen, [float(a < end and b > start) for a, b in seen.spans])


def pieces(text: str, dice: random.Random) -> Iterator[str]:
    """A text in passages of whole sentences, of lengths between _CHARS."""
    start, target = None, dice.randint(*_CHARS)
    for begin, end in sentences(re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)):
        start = begin if start is None else start
        if end - start >= target:
            yield text[start:end][:4000]
            start, target = None, dice.randint(*_CHARS)


def plant(host: str, request: str, dice: random.Random) -> tuple[str, tuple[int, int]]:
    """The host with the request at its start, at its end, or between two sentences; and where."""
    between = dice.choice((" ", "\n", " ", "\n\n"))
    place = dice.choice(("start", "middle", "end", "end"))
    at = 0 if place == "start" else len(host)
    if place == "middle":
        at = dice.choice(sentences(host))[1]
    before = host[:at] + between if at else ""
    after = between + host[at:].lstrip() if at < len(host) else ""
    return before + request + after, (len(before), len(before) + len(request))


# --- material ---


@dataclass(slots=True)
class Material:
    honest: list[str]
    hosts: list[str]
    attacks: list[tuple[str, str]]  # (kind, text)


def read(path: Path, dice: random.Random, most: int) -> list[str]:
    """Passages of a file of lines with `text`, or of the .md and .txt files of a directory."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in {".md", ".txt"}]
        texts = [file.read_text("utf-8", "replace") for file in files]
    else:
        texts = [line["text"] for line in train._lines(path)]
    found = [piece for text in texts for piece in (pieces(text, dice) if len(text) > _CHARS[1] else [text])]
    dice.shuffle(found)
    return found[:most]


def questions_and_answers(prefix: Path, dice: random.Random, most: int) -> tuple[list[str], list[str]]:
    """(honest passages that begin or end with their own question, the questions)."""
    asked: dict[str, list[str]] = defaultdict(list)
    for line in train._lines(prefix.with_name(prefix.name + ".questions.jsonl")):
        asked[line["ctx_id"] if "ctx_id" in line else line["ctx_ids"][0]].append(line["question"])
    honest = []
    for line in train._lines(prefix.with_name(prefix.name + ".contexts.jsonl")):
        if line["ctx_id"] in asked:
            question, text = dice.choice(asked[line["ctx_id"]]), line["text"][:700]
            honest.append(dice.choice((f"{question}\n{text}", f"Q: {question}\nA: {text}", f"{text}\n{question}")))
    dice.shuffle(honest)
    return honest[:most], [question for some in asked.values() for question in some]


def material(options: argparse.Namespace, dice: random.Random) -> Material:
    honest: list[str] = []
    hosts: list[str] = []
    loose: list[tuple[str, str]] = []
    for path in options.benign:
        found = read(path, dice, 2 * options.most)
        half = max(len(found) // 2, len(found) - options.most)
        honest += found[:half]
        hosts += found[half:]
    for prefix in options.qa:
        paired, questions = questions_and_answers(prefix, dice, options.most // 4)
        honest += paired
        loose += [("question", question) for question in dice.sample(questions, min(len(questions), options.own // 20))]
    attacks = [(f"request {kind}", text) for kind, text in requests(options.own, seed=options.seed)]
    attacks += [("example", text) for text in examples.planted(options.own // 6, seed=options.seed)] + loose
    for path in options.attacks:
        lines = [line for line in train._lines(path) if line["label"] and len(line["text"]) < 600]
        share = max(1, options.own // 8 // max(1, len(lines)))
        attacks += [(line.get("category") or path.stem, line["text"]) for line in lines for _ in range(share)]
    return Material(honest, hosts, attacks)


def samples(given: Material, dice: random.Random) -> list[Sample]:
    hosts = {chinese: [host for host in given.hosts if (cjk_share(host) > 0.3) == chinese] for chinese in (False, True)}
    made = [sample(text) for text in given.honest]
    for kind, text in given.attacks:
        choice = hosts[cjk_share(text) > 0.3] or given.hosts
        whole, where = plant(dice.choice(choice)[:1500], text, dice)
        made.append(sample(whole, plant=where, kind=kind))
    return [one for one in made if one.seen.spans]


# --- fitting ---


def fit_words(given: list[Sample]) -> train.Linear:
    rows = [row for one in given for row in one.seen.words]
    labels = np.array([label for one in given for label in one.labels])
    return train.fit(rows, labels, 1.0 + labels)


def fit_network(rows: Floats, labels: Floats, *, seed: int = 0) -> tuple[Floats, ...]:
    """One hidden layer of tanh by Adam; the tuple that `planted.network` reads."""
    dice = np.random.default_rng(seed)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    inputs = (rows - mean) / deviation
    weights = [
        dice.normal(0, inputs.shape[1] ** -0.5, (inputs.shape[1], HIDDEN)),
        np.zeros(HIDDEN),
        dice.normal(0, HIDDEN**-0.5, HIDDEN),
        np.zeros(1),
    ]
    moments = [[np.zeros_like(weight) for weight in weights] for _ in range(2)]
    step = 0
    for _ in range(EPOCHS):
        order = dice.permutation(len(inputs))
        for at in range(0, len(order), BATCH):
            chosen = order[at : at + BATCH]
            given, wanted = inputs[chosen], labels[chosen]
            hidden = np.tanh(given @ weights[0] + weights[1])
            error = (1 / (1 + np.exp(-(hidden @ weights[2] + weights[3]))) - wanted) / len(chosen)
            back = np.outer(error, weights[2]) * (1 - hidden**2)
            gradients = [given.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(keepdims=True)]
            step += 1
            for weight, gradient, first, second in zip(weights, gradients, *moments, strict=True):
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                weight -= rate * first / (np.sqrt(second) + 1e-8)
    return tuple(np.asarray(part, np.float32) for part in (mean, deviation, *weights[:3], weights[3][0]))


def fit(given: list[Sample], embed: Embed, *, sampled: int, dice: random.Random) -> Model:
    """The three stages; `sampled` passages are embedded."""
    for fold in (0, 1):
        linear = fit_words(given[1 - fold :: 2])
        for one in given[fold::2]:
            one.rows = one.seen.rows(linear.logits(one.seen.words).astype(np.float32))
    coarse = fit_network(np.concatenate([one.rows for one in given]), _labels(given))
    honest = np.concatenate([planted.network(one.rows, coarse) for one in given if not one.kind])
    least = float(np.quantile(honest, CANDIDATE))
    finer, labels = [], []
    for one in dice.sample(given, min(sampled, len(given))):
        logits = planted.network(one.rows, coarse)
        chosen = planted.candidates(logits, least)
        if len(chosen):
            meaning = planted.meaning(embed(planted.phrases(one.text, one.seen, chosen)))
            finer.append(np.hstack([one.rows[chosen], logits[chosen, None], meaning]))
            labels += [one.labels[at] for at in chosen]
    fine = fit_network(np.concatenate(finer), np.array(labels))
    whole = fit_words(given)
    return Model(whole.weights.astype(np.float32), whole.bias, coarse, fine, least, _NONE, _NONE, _NONE)


def _labels(given: Iterable[Sample]) -> Floats:
    return np.array([label for one in given for label in one.labels], np.float32)


# --- report ---


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train the finder of planted instructions.")
    for name in ("--benign", "--qa", "--attacks", "--calibrate", "--hosts"):
        parser.add_argument(name, nargs="+", type=Path, default=[])
    parser.add_argument("--hold", nargs="+", default=[], help="categories of attacks that are reported, not trained on")
    parser.add_argument("--model", type=Path, help="a trained file whose levels alone are set")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--most", type=int, default=1500, help="honest passages from one source")
    parser.add_argument("--own", type=int, default=9000, help="requests of our own")
    parser.add_argument("--sampled", type=int, default=7000, help="passages that are embedded")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    from retrieval.embedding import MiniLMEmbedder

    dice = random.Random(options.seed)  # noqa: S311  (a reproducible sample, no secret)
    embed = MiniLMEmbedder.load(threads=2).embed
    counts: dict[str, int] = {}
    held: list[tuple[str, str]] = []
    if options.model:
        model = planted.load(options.model)
    else:
        given = material(options, dice)
        held = [pair for pair in given.attacks if pair[0] in options.hold]
        given.attacks = [pair for pair in given.attacks if pair[0] not in options.hold]
        made = samples(given, dice)
        dice.shuffle(made)
        counts = {"passages": len(made), "planted": sum(bool(one.kind) for one in made)}
        model = fit(made, embed, sampled=options.sampled, dice=dice)
    calm = [read(path, dice, options.most) for path in options.calibrate]
    model = calibration.calibrated(model, calm, embed)
    planted.save(options.output, model)
    model = planted.load(options.output)
    hosts = [text for path in options.hosts for text in read(path, dice, options.most)]
    hosts = hosts or [text for some in calm for text in some]
    report: dict[str, list[float]] = {}
    for kind in sorted({kind for kind, _ in held}):
        texts = [plant(dice.choice(hosts)[:1500], text, dice)[0] for name, text in held if name == kind][:150]
        report[kind] = []
        for finder in (None, embed):
            least = np.array([model.levels(text, closer=finder is not None)[0] for text in texts])
            report[kind].append(round(float((calibration.highest(texts, model, finder) >= least).mean()), 3))
    levels = [model.coarse_levels, model.fine_levels, model.chinese_levels]
    counts["calibrated_on"] = sum(map(len, calm))
    sys.stdout.write(json.dumps({**counts, "levels": levels, "found_held_out": report}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
