"""What every step towards a smaller model costs and saves: a row for each, measured one after the other.

Knows model folders, recipes, documents and clocks. Does not know how the models came about. Run it while nothing else
runs: times are taken here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from inference import loading
from inference.errors import InferenceError
from inference.quantization import Quantization
from inference.runs import documents, models
from inference.runs.folder import write_text

_RECIPES: tuple[Quantization, ...] = ("nf4", "dynamic8", "int8")
log = logging.getLogger(__name__)


def table(out: Path, names: Sequence[str], texts: documents.Documents, device: str) -> list[dict[str, Any]]:
    """A row for `out/NAME/model` of every name, the teacher first, then what every recipe makes of the last and of the
    first of them. Written to `out/steps.json` as far as it is known."""
    rows: list[dict[str, Any]] = []
    first: documents.Numbers | None = None

    def keep(said: dict[str, Any], found: documents.Numbers | None) -> None:
        if found is not None and first is not None:
            said["kept_of_teacher"] = documents.compared([found], [first], documents.accuracy, ratio=True).row()
        rows.append(said)
        write_text(out / "steps.json", json.dumps(rows, indent=1))
        log.info("%s", said)

    for name in names:
        said, found = row(name, out / name / "model", texts, device)
        first = found if first is None else first
        keep(said, found)
    for name in (names[-1], names[0]):
        for recipe in _RECIPES:
            keep(*quantized(f"{name}, {recipe}", out / name / "model", recipe, texts, device))
    return rows


def row(step: str, folder: Path, texts: documents.Documents, device: str) -> tuple[dict[str, Any], documents.Numbers]:
    """(the row, the scores) of a model in `folder`: `bytes` of its weights in 16 bits, milliseconds for a token on the
    processor (single precision) and, where `device` is another, on the device (16 bits)."""
    model = models.load(folder, device=device)
    found = documents.scores(model, texts)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    said = {"step": step, "parameters": models.parameters(model), "bytes": size, **_quality(found)}
    if device != "cpu":
        said["device_ms"] = _pace(models.load(folder, device=device, dtype=torch.bfloat16))
    return said | {"processor_ms": _pace(models.load(folder))}, found


def quantized(
    step: str, folder: Path, recipe: Quantization, texts: documents.Documents, device: str
) -> tuple[dict[str, Any], documents.Numbers | None]:
    """As `row`, by a recipe; without scores when the recipe's own gate refuses. dynamic8 runs on the processor."""
    place = "cpu" if recipe == "dynamic8" else device
    try:
        loaded = loading.load(folder, quantize=recipe, device=place)
    except InferenceError as error:
        return {"step": step, "refused": str(error)}, None
    found = documents.scores(loaded.model, texts)
    key = "processor_ms" if place == "cpu" else "device_ms"
    return {"step": step, "bytes": loaded.bytes, **_quality(found), key: _pace(loaded.model)}, found


def _quality(found: documents.Numbers) -> dict[str, float]:
    return {"accuracy": float(documents.accuracy(found)), "loss": float(documents.loss(found))}


def _pace(model: Any) -> float:
    """Milliseconds for a token; the processor's on two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return round(models.seconds_per_token(model, list(range(2, 34)), tokens=64, repeats=5) * 1000, 3)
    finally:
        torch.set_num_threads(threads)
