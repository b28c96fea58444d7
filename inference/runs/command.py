"""What the commands of the workbench share: options of training, the run's folder, data and its checks, the card.

Knows argparse and the rooms beside it; does not know what is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from inference.errors import InferenceError, WorkbenchError, in_full
from inference.runs import card, checks
from inference.runs.data import Examples, Item, examples, read, split
from inference.runs.folder import RunFolder
from inference.runs.training import Objective, Trained, TrainingOptions, fit
from inference.runs.workers import Workers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MEANING = {
    "batch": "examples per step, over all processes",
    "accumulation": "pieces a step's batch is computed in, to save memory",
    "precision": "bf16 or fp32",
    "checkpointing": "compute activations again instead of keeping them, to save memory",
    "patience": "end after so many evaluations without a better one; 0: never",
}


def add_common(parser: argparse.ArgumentParser, *, steps: int, rate: float) -> None:
    """Data, output, device and every training option."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="JSON lines, archives of prose, texts")
    parser.add_argument(
        "--held-out", type=Path, nargs="*", default=[], help="files to judge by; else a share of --data"
    )
    parser.add_argument(
        "--domain", type=Path, nargs="*", default=[], help="texts of what the model is for, for the checks"
    )
    parser.add_argument(
        "--share", type=float, default=0.1, help="of the documents held out when --held-out is not given"
    )
    parser.add_argument("--context", type=int, default=512, help="tokens of one example")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; the same again goes on with it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for item in fields(TrainingOptions):
        default = {"steps": steps, "rate": rate}.get(item.name, item.default)
        assert default is not MISSING
        flag, meaning = f"--{item.name.replace('_', '-')}", _MEANING.get(item.name)
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true", help=meaning)
        else:
            parser.add_argument(flag, type=type(default), default=default, help=meaning)


def options(settings: Mapping[str, Any]) -> TrainingOptions:
    return TrainingOptions(**{item.name: settings[item.name] for item in fields(TrainingOptions)})


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its tool sees it. `settings` are what the command was given."""

    folder: RunFolder
    settings: Mapping[str, Any]
    workers: Workers
    device: str
    began: float

    def items(self, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Item], list[Item], list[str], dict[str, Any]]:
        """(training, held out, findings, numbers). Raises WorkbenchError when the result would mean nothing."""
        training = read(_paths(self.settings["data"]))
        if self.settings["held_out"]:
            held = read(_paths(self.settings["held_out"]))
        else:
            training, held = split(training, self.settings["share"])
        if not training or not held:
            raise WorkbenchError("No document is left for training, or none to judge by.", hint="Give more data.")
        domain = read(_paths(self.settings["domain"])) if self.settings["domain"] else ()
        found, numbers = checks.check(training, held, tokenizer, self.settings["context"], domain=domain)
        self.say(json.dumps(numbers))
        for item in found:
            self.say(f"{item.level}: {item.words}")
        if stop := [item.words for item in found if item.level == "stop"]:
            raise WorkbenchError(" ".join(stop), hint="Hold other documents out.")
        return training, held, [f"{item.check}: {item.words}" for item in found], numbers

    def examples(self, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase) -> Examples:
        return examples(items, tokenizer, self.settings["context"])

    def fit(self, objective: Objective, training: Examples, held: Examples, *, vocabulary: int = 0) -> Trained:
        return fit(
            objective,
            training,
            held,
            options(self.settings),
            self.folder,
            device=self.device,
            workers=self.workers,
            vocabulary=vocabulary,
        )

    def finish(self, *, data: Sequence[Path], results: Mapping[str, Any], findings: Sequence[str]) -> dict[str, Any]:
        """Write the card, drop the training state."""
        self.workers.wait()
        if self.workers.first:
            card.made(self.folder, data=data, results=results, findings=findings, began=self.began)
            self.folder.drop_state()
        self.workers.leave()
        return dict(results)

    def say(self, words: str) -> None:
        if self.workers.first:
            sys.stderr.write(words + "\n")


def run(
    tool: str, parser: argparse.ArgumentParser, work: Callable[[Run], dict[str, Any]], given: Sequence[str] | None
) -> int:
    """Parse, open the folder, work unless it is done, print one line of JSON; the exit status."""
    settings = vars(parser.parse_args(given))
    try:
        result = start(tool, settings, work)
    except InferenceError as error:
        sys.stderr.write(in_full(error) + "\n")
        return 2
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write(json.dumps(result) + "\n")
    return 0


def start(tool: str, settings: Mapping[str, Any], work: Callable[[Run], dict[str, Any]]) -> dict[str, Any]:
    """The same without a command line (for `reproduce` and the product's commands)."""
    workers = Workers(processor=not settings["device"].startswith("cuda"))
    out = Path(settings["out"])
    kept = {key: _plain(value) for key, value in settings.items() if key not in {"out", "device"}}
    folder = RunFolder(out, tool=tool, settings=kept, writes=workers.first)
    workers.wait()
    if folder.done:
        return card.Card.read(out).results
    return work(Run(folder, settings, workers, workers.device(settings["device"]), time.time()))


def _paths(values: Sequence[Any]) -> list[Path]:
    return [Path(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
