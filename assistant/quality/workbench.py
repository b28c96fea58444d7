"""The workbench over this machine's models: distil, prune, finetune, reproduce. What comes out is installed, with its
card, beside the others.

Every option of `python -m inference.distillation` (and its siblings) is taken; a model may be named as it is installed.
The run's folder lies under the data folder and belongs to the new model's name: the same command goes on with it. Does
not know training.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from assistant import engines
from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.errors import Conflict, Invalid
from inference.store import Manifest

from . import files

RECIPES = {
    "distil": "inference.distillation.recipe",
    "prune": "inference.pruning.recipe",
    "finetune": "inference.finetuning.recipe",
}
_MODELS = ("--teacher", "--student", "--model")  # options whose values may be names of installed models
LEAST_REASON = 10


@dataclass(frozen=True, slots=True)
class Questions:
    """A question file to learn from. `reason`: why a model may learn what not everybody may read; recorded."""

    actor: User
    file: str
    reason: str = ""


def run(
    tool: str, *, name: str, options: Sequence[str], licence: str = "", questions: Questions | None = None
) -> tuple[Manifest, dict[str, Any]]:
    """Carry out a run and install its model as `name`: (its manifest, the run's results).

    Raises Invalid, Conflict, NotFound, inference.errors.InferenceError, FileExistsError; SystemExit for wrong options.
    """
    if name in engines.store().names():
        raise FileExistsError(f"A model named {name!r} is installed already; choose another name.")
    recipe = importlib.import_module(RECIPES[tool])
    from inference.runs import command

    out = folder_of(name)
    given, sources = _resolved(options)
    licence = licence or _licence(sources)
    with taken_out(name, questions) as data:
        if questions is not None:
            given += ["--data", str(data / "train.jsonl"), "--held-out", str(data / "test.jsonl")]
        if tool == "finetune" and "--merge" not in given and "rounding" not in given:
            given.append("--merge")  # an adapter alone does not answer
        arguments = recipe.parser().parse_args([*given, "--out", str(out)])
        results = command.start(recipe.TOOL, vars(arguments), recipe.work)
    return _installed(out, name, licence, tool), results


def folder_of(name: str) -> Path:
    """Where the run lies that makes, or made, this model."""
    return Path(settings.DATA_DIR) / "workbench" / name


@contextmanager
def taken_out(name: str, questions: Questions | None) -> Iterator[Path]:
    """The question file in a folder of the run, readable by the training, gone afterwards.

    Raises Conflict, NotFound."""
    data = folder_of(name).with_name(f"{name}.data")
    try:
        if questions is not None:
            _allowed(questions)
            files.export(actor=questions.actor, file_id=questions.file, folder=data)
        yield data
    finally:
        files.forget_export(data)


def _resolved(options: Sequence[str]) -> tuple[list[str], list[Manifest]]:
    """The options with installed names as their folders, and the manifests of those."""
    known, found, given, taking = set(engines.store().names()), [], [], False
    for word in options:
        taking = word in _MODELS if word.startswith("--") else taking
        if taking and word in known:
            found.append(engines.store().verify(word))
            word = str(engines.store().folder(word))
        given.append(word)
    return given, found


def _licence(sources: Sequence[Manifest]) -> str:
    """What the models it was made from say; they must agree."""
    licences = {manifest.licence for manifest in sources}
    if len(licences) != 1:
        raise Invalid("Say the new model's licence with --licence: it cannot be taken from the models it is made from.")
    return licences.pop()


def _allowed(questions: Questions) -> None:
    """A model tells everybody what it has learned. Raises Conflict."""
    file = files.get(actor=questions.actor, file_id=questions.file)
    reason = questions.reason.strip()
    if files.for_everyone(file):
        return
    if len(reason) < LEAST_REASON:
        raise Conflict(
            "Not everybody may read the documents of this question file, and a model tells what it has learned to "
            "whoever asks. Give a reason with --disclose to learn from it all the same; it is recorded.",
            code="not_for_everyone",
        )
    audit.record(
        action="questions.exported",
        outcome="intent",
        target=("questions", str(file.pk)),
        detail={"for_everyone": False},
        content={"reason": reason},
    )


def _installed(out: Path, name: str, licence: str, tool: str) -> Manifest:
    """The run's model with its card among the installed ones."""
    folder = out / "model"
    for card in ("card.json", "CARD.md"):
        shutil.copyfile(out / card, folder / card)
    manifest = engines.store().import_path(
        folder, name=name, licence=licence, imported_by="command", origin=f"made here: {tool}"
    )
    audit.record(
        action="model.changed",
        target=("model", name),
        detail={"change": tool, "digest": manifest.digest, "size": manifest.size, "licence": licence},
    )
    return manifest
