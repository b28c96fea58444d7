"""Pack the weights and write the reader's card: ``python -m inference.training.finish``.

Works on what ``inference.training.evidence`` left in its output folder: judgements of held-out questions by the
readers of the folds. A first calibration is fitted on these only, and its numbers in the card are cross-fitted (half of
the articles judge the other half); ``inference.training.weighing`` makes the one that answers. About a minute on a CPU.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save
from torch import Tensor

from inference.reading.calibration import WEIGHED, Calibration
from inference.reading.features import ANSWER_FEATURES
from inference.reading.network import FAR
from inference.reading.reader import quantize, sha256
from inference.training.bars import section
from inference.training.cosines import sample, top_cosines
from inference.training.evidence import fold_of
from inference.training.logistic import calibrated
from inference.training.qa import digest

GENERIC = "policyqa_dev"
# How much a cosine adds to a logit. Best of 0, 1, 2, 3, 4, 6, 8 lay between 4 and 8 for English, flat; Chinese, which
# the encoder hardly knows, gains nothing past 2.
LATIN, CJK = 5.0, 2.0
LICENCES = {
    "squad2_devhalf": "CC BY-SA 4.0", "expmrc_squad": "CC BY-SA 4.0", "policyqa_dev": "MIT",
    "tatqa_dev": "CC BY 4.0", "covidqa": "Apache-2.0", "cmrc2018_trial": "CC BY-SA 4.0", "drcd_dev": "CC BY-SA 3.0",
    "musique_small100": "CC BY 4.0", "hotpotqa_small100": "CC BY-SA 4.0", "anthropic_docs": "MIT",
    "18f_tts_handbook": "CC0", "sourcegraph_handbook": "Apache-2.0", "govuk_developer_docs": "MIT",
    "pingcap_docs_zh": "CC BY-SA 3.0",
}  # fmt: skip
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Held:
    """A sample of judgements of held-out questions: one row per item."""

    set: Array
    group: Array
    mode: Array
    reachable: Array
    inputs: Array
    first: Array
    two: Array

    def rows(self, chosen: Array) -> Held:
        """Some of them."""
        return Held(*(getattr(self, name)[chosen] for name in self.__slots__))


def held_out(folder: Path, data: Path, encoder: Path) -> Held:
    """The judgements of all folds in ``folder/reader``, cosines weighed in (made once, kept in ``cosines.npz``)."""
    keys = json.loads((folder / "measuring.json").read_text("utf-8"))
    packed = folder / "measured.npz"
    known = np.load(packed) if packed.exists() else load_arrays(folder / "measuring.safetensors")
    parts = [np.load(path) for path in sorted((folder / "reader").glob("fold-*.judged.npz"))]
    rows = np.concatenate([part["rows"] for part in parts])
    logits = np.concatenate([part["sentence"] for part in parts]).astype(np.float64)
    kept = folder / "cosines.npz"
    if not kept.exists():
        places = sample(keys, rows.tolist())
        found = top_cosines(data, encoder, [keys[rows[place]] for place in places], logits[places], 320)
        np.savez_compressed(kept, places=np.asarray(places), cosine=found)
    saved = np.load(kept)
    places, cosines = saved["places"], saved["cosine"][:, :WEIGHED]
    rows, logits = rows[places], logits[places]
    order = np.argsort(-logits, axis=1, kind="stable")[:, :WEIGHED]
    top = np.take_along_axis(logits, order, 1)
    cjk = known["facts"][rows][:, ANSWER_FEATURES.index("cjk")] > 0.5
    mixed = np.where(top > FAR / 10, top + np.where(cjk, CJK, LATIN)[:, None] * cosines, FAR)
    again = np.argsort(-mixed, axis=1, kind="stable")
    good = np.take_along_axis(np.take_along_axis(known["gold"][rows], order, 1), again, 1)
    mixed, cosines = np.take_along_axis(mixed, again, 1), np.take_along_axis(cosines, again, 1)
    values = np.stack(
        (
            np.concatenate([part["answer"] for part in parts])[places],
            np.concatenate([part["margin"] for part in parts])[places],
            np.minimum(mixed[:, 0] - mixed[:, 1], 10.0),
            1.0 / np.exp(mixed - mixed[:, :1]).sum(1),
            cosines[:, 0],
        ),
        1,
    )
    chosen = [keys[row] for row in rows]
    return Held(
        np.asarray([key[0] for key in chosen]),
        np.asarray([key[1] for key in chosen]),
        np.asarray([key[3] for key in chosen]),
        np.asarray([key[5] for key in chosen]),
        values,
        np.asarray(good[:, 0]),
        np.asarray(good[:, :2].any(1)),
    )


def fit(held: Held) -> Calibration:
    """Fit the probability that the first two quotations answer, every set counting the same."""
    usable = (held.set != GENERIC) & ~((held.mode == "open") & ~held.reachable)
    data = held.rows(usable)
    values, target = data.inputs, data.reachable & data.two
    weight = np.zeros(len(values))
    for name in np.unique(data.set):
        weight[data.set == name] = len(values) / ((data.set == name).sum() * len(np.unique(data.set)))
    return calibrated(values, target, weight, LATIN, CJK)


def probabilities(calibration: Calibration, held: Held) -> Array:
    """Calibrated probabilities of all rows."""
    return np.asarray([calibration.probability(row) for row in held.inputs])


def auc(positive: Array, negative: Array) -> float:
    """Chance that a positive scores above a negative (ties count half)."""
    order = np.concatenate([positive, negative])
    _, place, counts = np.unique(order, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]
    total = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(total / (len(positive) * len(negative)))


def results(held: Held, chances: Array) -> dict[str, dict[str, float]]:
    """The numbers of every set: held-out articles, cross-fitted probabilities."""
    table: dict[str, dict[str, float]] = {}
    for name in sorted(set(held.set)):
        mine = held.set == name
        own, spread = mine & (held.mode == "own"), mine & (held.mode == "open")
        row: dict[str, float] = {}
        for label, part in (("passage", own & held.reachable), ("search", spread & held.reachable)):
            row[f"{label}_questions"] = int(part.sum())
            row[f"{label}_first"] = float(held.first[part].mean())
            row[f"{label}_two"] = float(held.two[part].mean())
            order = np.flatnonzero(part)[np.argsort(-chances[part], kind="stable")]
            kept = order[: int(0.8 * len(order))]
            row[f"{label}_wrong_at_80"] = float(1 - held.two[kept].mean())
        negatives = (
            ("adversarial", own & ~held.reachable, own & held.reachable),
            ("near", mine & (held.mode == "near"), spread & held.reachable),
        )
        for label, part, positive in negatives:
            if part.sum() > 20:
                row[f"auc_{label}"] = auc(chances[positive], chances[part])
        table[name] = {key: round(value, 3) for key, value in row.items()}
    return table


def risk_curve(held: Held, chances: Array) -> list[dict[str, float]]:
    """Threshold, share answered, share of wrong ones among the answered, over all sets but the generic one."""
    usable = (held.set != GENERIC) & ~((held.mode == "open") & ~held.reachable)
    right, sure = (held.reachable & held.two)[usable], chances[usable]
    curve = []
    for threshold in (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9):
        answered = sure >= threshold
        curve.append({
            "threshold": threshold,
            "answered_of_answerable": round(float(answered[right].mean()), 3),
            "answered_of_unanswerable": round(float(answered[~right].mean()), 3),
            "wrong_of_answered": round(float(1 - right[answered].mean()), 3),
        })  # fmt: skip
    return curve


def expected_error(held: Held, chances: Array, bins: int = 10) -> float:
    """Mean distance between stated and observed probability, over ``bins`` bins (expected calibration error)."""
    usable = (held.set != GENERIC) & ~((held.mode == "open") & ~held.reachable)
    right, sure = (held.reachable & held.two)[usable], chances[usable]
    place = np.minimum((sure * bins).astype(int), bins - 1)
    parts = [
        abs(sure[place == at].mean() - right[place == at].mean()) * (place == at).mean()
        for at in range(bins)
        if (place == at).any()
    ]
    return float(sum(parts))


def packed(weights: dict[str, Tensor], facts: dict[str, str]) -> bytes:
    """A safetensors file of ``weights`` with ``facts`` in the order of their names: the same bytes in every run, which
    the library, whose facts come in any order, does not promise.
    """
    raw = save(weights, facts)
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return raw[:8] + text.ljust(size) + raw[8 + size :]


def card(facts: dict[str, Any]) -> str:
    """The model card, as Markdown."""
    settings = facts["settings"]
    lines = [
        "# Card: the trained reader of the extractive engine",
        "",
        "A low-rank adapter and three heads over all-MiniLM-L6-v2 (Apache-2.0): evidence sentence, answer span,",
        "answerability. Reads question and passages together; made by the command below, kept as 8-bit integers.",
        "",
        "```",
        "python -m inference.training --data ../shared/data/qa --corpora ../shared/data/corpora/{18f_tts_handbook,"
        "govuk_developer_docs,sourcegraph_handbook,pingcap_docs_zh}.tar.xz --encoder DIR --out OUT --splitter "
        "retrieval.text:sentences",
        "```",
        "",
        "One command for `evidence` (trains), `finish` (packs, this card) and `weighing`: the probability that the",
        "product answers by is fitted last, on questions asked of whole sets (WEIGHING.md); the one below is that of",
        "the readings alone.",
        "",
        f"Settings: `{json.dumps(settings)}`. Trained on: {facts['hardware']}.",
        f"Size {facts['bytes'] / 1e6:.1f} MB; sha256 of the encoder `{facts['encoder']}`.",
        "",
        "## Results on articles the reader had not seen",
        "",
        "Folds by article: the reader of a fold saw neither the questions nor the texts of its articles; the",
        "probability is cross-fitted. *passage*: the reader gets the passage (at most 190 words) that answers.",
        "*search*: it gets the best eight of the whole set by BM25, and other passages that answer too count as",
        "wrong. *wrong at 80*: share of questions whose answer is not in the first two quotations when the 20 % the",
        "reader is least sure of are not answered. *adversarial*: unanswerable questions people wrote to look",
        "answerable (SQuAD 2.0). *near*: six retrieved passages that do not hold the answer, against *search*.",
        f"At most 300 questions of every kind, drawn by seed; {facts['judged']} of the {settings['folds']} folds; read",
        f"with {settings['budget']} word pieces (the product reads 384, which changes *search* only).",
        "",
        "| set | passage: n | first | two | wrong at 80 | search: n | first | two | wrong at 80 | AUC near | "
        "AUC adversarial |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in facts["results"].items():
        cells = [
            row[f"{label}_{key}"]
            for label in ("passage", "search")
            for key in ("questions", "first", "two", "wrong_at_80")
        ]
        rest = [row.get("auc_near", "–"), row.get("auc_adversarial", "–")]
        lines.append(f"| {name} | " + " | ".join(str(cell) for cell in (*cells, *rest)) + " |")
    lines += [
        "",
        "policyqa's questions are generic (one question fits many passages of a policy): its *search* columns mean",
        "little. covidqa's answers are long spans of papers.",
        "",
        *section(facts["results"]),
        "",
        "What was tried to raise the adversarial AUC, and why it was not shipped: `inference/training/TRIED.md`.",
        "",
        f"Expected calibration error {facts['calibration_error']:.3f} (all sets but policyqa). What a threshold does:",
        "",
        "| threshold | answered, of the answerable | answered, of the unanswerable | wrong, of the answered |",
        "|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in facts["risk_curve"]]
    lines += ["", "## Data", "", "| file | licence | sha256 |", "|---|---|---|"]
    lines += [f"| {name} | {licence} | `{value}` |" for name, licence, value in facts["data"]]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m inference.training.finish", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of question files")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True, help="folder that the training wrote")
    parser.add_argument("--package", type=Path, default=Path(__file__).parents[1] / "reading")
    given = parser.parse_args(arguments)
    held = held_out(given.out, given.data, given.encoder)
    half = np.asarray([fold_of(f"half:{group}", 2) for group in held.group])
    chances = np.zeros(len(half))
    for side in (0, 1):
        chances[half == side] = probabilities(fit(held.rows(half != side)), held.rows(half == side))
    calibration = fit(held)

    weights_path = given.out / "reader" / "all.safetensors"
    with safe_open(weights_path, "pt") as opened:
        known = opened.metadata()
    settings = json.loads(known["settings"])
    encoder = sha256(given.encoder / "model.safetensors")
    path = given.package / "reader.safetensors"
    path.write_bytes(packed(quantize(load_file(weights_path)), {"encoder": encoder, "rank": str(settings["rank"])}))
    facts = {
        "settings": settings,
        "hardware": known.get("hardware", "not on record"),
        "judged": len(list((given.out / "reader").glob("fold-*.judged.npz"))),
        "encoder": encoder,
        "weights": sha256(path),
        "bytes": path.stat().st_size,
        "calibration_error": expected_error(held, chances),
        "results": results(held, chances),
        "risk_curve": risk_curve(held, chances),
        "data": [
            (path.name, LICENCES[name], digest(path))
            for name in LICENCES
            for path in (
                *sorted(given.data.glob(f"{name}.*.jsonl")),
                *sorted((given.data.parent / "corpora").glob(f"{name}.tar.xz")),
            )
        ],
    }
    table: dict[str, Any] = {
        name: np.round(getattr(calibration, name), 6).tolist()
        for name in ("mean", "scale", "weights", "bias", "latin", "cjk")
    }
    record = {"weights": facts["weights"], "calibration": table}
    (given.package / "reader.json").write_text(json.dumps(record) + "\n", "utf-8")
    (given.package / "CARD.md").write_text(card(facts), "utf-8")


if __name__ == "__main__":
    main()
