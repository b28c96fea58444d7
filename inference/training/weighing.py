"""Fit the probability that quotations answer: ``python -m inference.training.weighing``.

Asks questions of whole sets (``inference.training.pools``; a set that is already in ``--out`` is not asked again), fits
the calibration of ``reader.json`` on them, every set counting the same, and writes ``WEIGHING.md``: how sets
do that the calibration was not fitted on, and what the weight of a cosine is worth. Runs on a CPU, a few minutes a set.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.evaluation.evidence import auc
from inference.reading.calibration import Calibration, inputs
from inference.reading.network import FAR
from inference.reading.reader import Reader
from inference.training.cosines import Encoder
from inference.training.finish import CJK, LATIN, LICENCES
from inference.training.logistic import calibrated
from inference.training.pools import Reads, collect, join
from inference.training.qa import digest, splitter_named

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
# How much a cosine adds to a logit, English and Chinese; other values gain nothing that a set left out confirms.
CHOSEN = (LATIN, CJK)
GRID = ((0.0, 0.0), (2.0, 1.0), CHOSEN, (8.0, 4.0), (12.0, 8.0))
BINS, MOST = 5, 4.0
RESAMPLES = 1000
TRAINED = ("squad2_devhalf", "expmrc_squad", "tatqa_dev", "cmrc2018_trial")
UNSEEN = ("hotpotqa_small100", "musique_small100")  # the reader was trained on none of their questions


@dataclass(frozen=True, slots=True)
class Weighed:
    """Rows after weighing: the calibration's ``inputs (n, k)``, and whether the first, or the first two, answer."""

    inputs: Array
    first: Array
    two: Array


def weighed(reads: Reads, weights: tuple[float, float]) -> Weighed:
    """What comes out with these weights."""
    latin, cjk = weights
    share = np.where(reads.cjk, cjk, latin)[:, None]
    logits = np.where(reads.logits > FAR / 10, reads.logits + share * reads.cosines, FAR)
    order = np.argsort(-logits, axis=1, kind="stable")
    gold = np.take_along_axis(reads.gold, order, 1)
    cosine = np.take_along_axis(reads.cosines, order, 1)[:, 0]
    rows = [
        inputs(float(answer), float(margin), row[row > FAR / 10], float(best))
        for answer, margin, row, best in zip(reads.answer, reads.margin, logits, cosine, strict=True)
    ]
    return Weighed(np.asarray(rows), gold[:, 0], np.asarray(gold[:, :2].any(1)))


def shares(reads: Reads) -> Array:
    """How much a row counts: every set the same, questions with and without an answer the same, and questions in other
    words than their answers as much as those that copy them (at most ``MOST`` times).
    """
    count = np.zeros(len(reads.set))
    searched = reads.mode == "search"
    for name in np.unique(reads.set):
        for kind in (searched, ~searched):
            rows = (reads.set == name) & kind
            count[rows] = 1.0 / max(1, rows.sum())
    place = np.minimum((reads.overlap * BINS).astype(int), BINS - 1)
    for at in range(BINS):
        rows = searched & (place == at)
        if rows.any():
            count[rows] *= min(searched.sum() / BINS / rows.sum(), MOST)
    for kind in (searched, ~searched):
        count[kind] /= count[kind].sum()
    mean: float = count.mean()
    return count / mean


def fit(reads: Reads, weights: tuple[float, float] = CHOSEN) -> Calibration:
    """The calibration: probability that one of the first two sentences answers."""
    found = weighed(reads, weights)
    return calibrated(found.inputs, found.two, shares(reads), *weights)


def measure(reads: Reads, calibration: Calibration) -> dict[str, Array]:
    """``chance``, ``first``, ``two`` of every row."""
    found = weighed(reads, (calibration.latin, calibration.cjk))
    chance = np.asarray([calibration.probability(row) for row in found.inputs])
    return {"chance": chance, "first": found.first, "two": found.two}


def figures(reads: Reads, found: dict[str, Array]) -> dict[str, float]:
    """The numbers of some rows: shares over questions whose answer search found, and AUC of these against others."""
    searched = reads.mode == "search"
    chance, two = found["chance"][searched], found["two"][searched]
    surest = np.argsort(-chance, kind="stable")[: int(0.8 * len(chance))]
    numbers = {
        "first": float(found["first"][searched].mean()),
        "two": float(two.mean()),
        "wrong_at_80": float(1 - two[surest].mean()),
    }
    for mode in ("near", "adversarial"):
        value = auc(chance.tolist(), found["chance"][reads.mode == mode].tolist())
        if value is not None:
            numbers[f"auc_{mode}"] = value
    return numbers


def interval(
    reads: Reads, found: dict[str, Array], before: dict[str, Array], resamples: int = RESAMPLES
) -> dict[str, tuple[float, float, float]]:
    """Mean over the sets of what ``found`` has over ``before``, with its 95 % interval: the questions of every set are
    drawn again ``resamples`` times, the same for both.
    """
    chance = np.random.default_rng(1)
    groups = [np.flatnonzero(reads.set == name) for name in np.unique(reads.set)]
    kinds = [[rows[reads.mode[rows] == mode] for mode in np.unique(reads.mode[rows])] for rows in groups]
    draws: dict[str, list[float]] = {}
    for draw in range(resamples + 1):
        gains: dict[str, list[float]] = {}
        for parts in kinds:
            rows = np.concatenate([chance.choice(part, len(part)) if draw else part for part in parts])
            chosen = reads.rows(rows)
            new, old = (figures(chosen, {key: value[rows] for key, value in side.items()}) for side in (found, before))
            for key, value in new.items():
                gains.setdefault(key, []).append(value - old[key])
        for key, values in gains.items():
            draws.setdefault(key, []).append(float(np.mean(values)))
    return {
        key: (values[0], *map(float, np.quantile(values[1:], (0.025, 0.975))))  # type: ignore[misc]
        for key, values in draws.items()
    }


def left_out(sets: dict[str, Reads], weights: tuple[float, float] = CHOSEN) -> dict[str, dict[str, Array]]:
    """Every set measured by a calibration that was fitted on the others."""
    return {
        name: measure(reads, fit(join([other for key, other in sets.items() if key != name]), weights))
        for name, reads in sets.items()
    }


def stacked(parts: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """The rows of all sets, in their order."""
    return {key: np.concatenate([part[key] for part in parts.values()]) for key in ("chance", "first", "two")}


def _grid(sets: dict[str, Reads]) -> list[str]:
    lines = [
        "| cosine, English | Chinese | " + " | ".join(sets) + " | mean |", "|---" * (len(sets) + 3) + "|"
    ]  # fmt: skip
    for weights in GRID:
        pairs = []
        for reads in sets.values():
            found, searched = weighed(reads, weights), reads.mode == "search"
            pairs.append((found.first[searched].mean(), found.two[searched].mean()))
        pairs.append(tuple(np.mean(pairs, axis=0)))
        cells = " | ".join(f"{one:.3f} {two:.3f}" for one, two in pairs)
        lines.append(f"| {' | '.join(f'{value:g}' for value in weights)} | {cells} |")
    return lines


def card(sets: dict[str, Reads], before: Calibration | None, files: Sequence[tuple[str, str, str]]) -> str:
    """The card, as Markdown."""
    found = left_out(sets)
    reads, rows = join(list(sets.values())), stacked(found)
    lines = [
        "# Card: the probability that an answer is there",
        "",
        "```",
        "python -m inference.training.weighing --data ../shared/data/qa --encoder DIR --out OUT --splitter "
        "retrieval.text:sentences",
        "```",
        "",
        "Questions asked of about 400 passages of their set, the ten best (words and vectors) read; a question counts",
        "in *first*, *two* and *wrong at 80* when search found its answer. The probability of each set is that of a",
        "calibration fitted on the other sets. *near*: the same search without the passages that answer.",
        "*adversarial*: written to look answerable (SQuAD 2.0). The reader was trained on questions of all sets but",
        f"{' and '.join(UNSEEN)}, which need several passages at once.",
        "",
        "| set | n | first | two | wrong at 80 | AUC near | AUC adversarial |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, part in found.items():
        numbers = figures(sets[name], part)
        cells = [
            f"{numbers[key]:.3f}" if key in numbers else "–"
            for key in ("first", "two", "wrong_at_80", "auc_near", "auc_adversarial")
        ]
        lines.append(f"| {name} | {int((sets[name].mode == 'search').sum())} | {' | '.join(cells)} |")
    if before is not None:
        lines += ["", "Against the record before it, same readings, mean over the sets (95 %, paired bootstrap):", ""]
        old = stacked({name: measure(part, before) for name, part in sets.items()})
        lines += ["| | change | from | to |", "|---|---|---|---|"]
        lines += [
            f"| {key.replace('_', ' ')} | {mean:+.3f} | {low:+.3f} | {high:+.3f} |"
            for key, (mean, low, high) in interval(reads, rows, old).items()
        ]
    lines += ["", "What a weight is worth (first, two):", "", *_grid(sets), "", "What a threshold does, all sets:", ""]
    lines += [
        "| threshold | answered, of those with an answer found | of the others | wrong, of the answered |",
        "|---|---|---|---|",
    ]
    right = rows["two"] & (reads.mode == "search")
    for threshold in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8):
        said = rows["chance"] >= threshold
        shown = [said[reads.mode == "search"].mean(), said[reads.mode != "search"].mean()]
        cells = [f"{value:.3f}" for value in (*shown, *([1 - right[said].mean()] if said.any() else []))]
        lines.append(f"| {threshold} | " + " | ".join([*cells, "–"][:3]) + " |")
    lines += ["", "## Data", "", "| file | licence | sha256 |", "|---|---|---|"]
    lines += [f"| {name} | {licence} | `{value}` |" for name, licence, value in files]
    return "\n".join(lines) + "\n"


def collected(given: argparse.Namespace) -> dict[str, Reads]:
    """The readings of all sets; those that are not in the output folder yet are made. Raises ``FileExistsError`` when
    the folder's were made otherwise.
    """
    weights = json.loads((given.package / "reader.json").read_text("utf-8"))["weights"]
    made_by = {"reader": weights, "count": given.count, "splitter": given.splitter}
    note = given.out / "made_by.json"
    if not note.exists():
        note.write_text(json.dumps(made_by), "utf-8")
    elif json.loads(note.read_text("utf-8")) != made_by:
        raise FileExistsError(f"{given.out} holds readings of another reader, count or splitter; name another folder")
    found = {}
    reader = embed = None
    for name in given.sets:
        path = given.out / f"{name}.npz"
        if not path.exists():
            reader = reader or Reader.load(given.encoder, package=given.package)
            embed = embed or Encoder(given.encoder)
            made = collect(given.data, name, given.count, reader, embed, splitter_named(given.splitter))
            partial = path.with_suffix(".partial.npz")
            np.savez_compressed(partial, **{key: getattr(made, key) for key in Reads.__slots__})
            partial.replace(path)
            log.info("%s: %d readings", name, len(made.set))
        saved = np.load(path)
        found[name] = Reads(*(saved[key] for key in Reads.__slots__))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m inference.training.weighing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of question files")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=Path(__file__).parents[1] / "reading")
    parser.add_argument("--before", type=Path, default=None, help="an earlier reader.json to compare with")
    parser.add_argument("--sets", nargs="*", default=[*TRAINED, *UNSEEN])
    parser.add_argument("--count", type=int, default=120, help="questions of a set, answerable and not")
    parser.add_argument("--splitter", default="", help="MODULE:FUNCTION that cuts sentences as the product does")
    given = parser.parse_args(arguments)
    if len(given.sets) < 2:
        parser.error("at least two sets are needed: each is measured by a calibration that was fitted on the others")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.out.mkdir(parents=True, exist_ok=True)
    sets = collected(given)
    before = None
    if given.before:
        known = json.loads(given.before.read_text("utf-8"))["calibration"]
        before = Calibration.parse(known)
    calibration = fit(join(list(sets.values())))
    record = json.loads((given.package / "reader.json").read_text("utf-8"))
    record["calibration"] = {name: np.round(getattr(calibration, name), 6).tolist() for name in Calibration.__slots__}
    (given.package / "reader.json").write_text(json.dumps(record) + "\n", "utf-8")
    files = [
        (path.name, LICENCES.get(name, "own"), digest(path))
        for name in sets
        for path in sorted(given.data.glob(f"{name}.*.jsonl"))
    ]
    (given.package / "WEIGHING.md").write_text(card(sets, before, files), "utf-8")


if __name__ == "__main__":
    main()
