"""The folder of one run: settings, log, training state, plots and card; written so that a kill never leaves halves.

    settings.json   what was asked (a folder belongs to one set of settings)
    log.jsonl       one line per logged step or evaluation
    state/          weights, optimizer and place in the data, replaced as a whole
    plots/*.svg     drawn from the log
    card.json, CARD.md, and whatever the tool leaves (`model/`, `adapter/`)

Knows files. No pickle: tensors are safetensors, the rest is JSON.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from inference.errors import WorkbenchError

Row = dict[str, Any]


class RunFolder:
    """Open or create the folder of a run. Raises WorkbenchError when it belongs to another run."""

    def __init__(self, path: Path, *, tool: str, settings: Mapping[str, Any], writes: bool = True) -> None:
        self.path = path
        self.tool = tool
        self.settings = json.loads(json.dumps(settings, default=str))
        self.writes = writes  # false in all but the first of several processes
        if not writes:
            return
        path.mkdir(parents=True, exist_ok=True)
        asked = {"tool": tool, "settings": self.settings}
        place = path / "settings.json"
        if place.is_file():
            if json.loads(place.read_text("utf-8")) != asked:
                raise WorkbenchError(
                    f"{path} holds a run with other settings.", hint="Choose another --out, or remove that folder."
                )
        elif any(path.iterdir()):
            raise WorkbenchError(f"{path} is not empty and holds no run.", hint="Choose an empty --out.")
        else:
            write_text(place, json.dumps(asked, indent=1))

    @property
    def done(self) -> bool:
        """Whether the run has its card: nothing is left to do."""
        return (self.path / "card.json").is_file()

    def part(self, name: str) -> RunFolder:
        """A folder of its own for one training inside this run (a seed, an arm, the recovery after pruning)."""
        return RunFolder(self.path / name, tool=self.tool, settings={**self.settings, "part": name}, writes=self.writes)

    def log(self, row: Row) -> None:
        if self.writes:
            with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        """The log so far; a half line at the end (of a killed run) is left out."""
        return list(_rows(self.path / "log.jsonl"))

    def forget_after(self, step: int) -> None:
        """Drop log lines of steps that will be taken again."""
        if self.writes and (self.path / "log.jsonl").is_file():
            kept = [json.dumps(row) + "\n" for row in self.rows() if row.get("step", 0) <= step]
            write_text(self.path / "log.jsonl", "".join(kept))

    def save_state(self, tensors: Mapping[str, Mapping[str, torch.Tensor]], facts: Row) -> None:
        """Replace the saved state as a whole."""
        if not self.writes:
            return
        new, state, old = (self.path / name for name in ("state.new", "state", "state.old"))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for name, group in tensors.items():
            save_file({key: value.detach().cpu().contiguous().clone() for key, value in group.items()}, new / f"{name}")
        write_text(new / "state.json", json.dumps(facts))
        shutil.rmtree(old, ignore_errors=True)
        if state.exists():
            state.rename(old)
        new.rename(state)
        shutil.rmtree(old, ignore_errors=True)

    def load_state(self, *names: str) -> tuple[dict[str, dict[str, torch.Tensor]], Row] | None:
        """The newest whole state, or None."""
        for folder in (self.path / "state", self.path / "state.old"):
            if (folder / "state.json").is_file():
                facts: Row = json.loads((folder / "state.json").read_text("utf-8"))
                return {name: load_file(folder / name) for name in names if (folder / name).is_file()}, facts
        return None

    def drop_state(self) -> None:
        """A finished training needs its state no more."""
        if self.writes:
            shutil.rmtree(self.path / "state", ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        return
    for line in path.read_text("utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
