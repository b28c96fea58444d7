"""Run a card again and compare: ``python -m inference.runs.reproduce RUN --out DIR [--data-root DIR]``.

The data must be byte for byte what the card names, else nothing is run. Other code, packages or hardware are told, not
refused. Exit status 0: the same within the tolerance; 1: different; 2: it could not be run. The last line is JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from inference.errors import InferenceError, WorkbenchError, in_full
from inference.runs import card, command

TOOLS = {
    "inference.distillation": "inference.distillation.recipe",
    "inference.pruning": "inference.pruning.recipe",
    "inference.finetuning": "inference.finetuning.recipe",
}


def again(
    run: Path, out: Path, *, device: str, data_root: Path | None = None, tolerance: float = 0.01
) -> dict[str, Any]:
    """{"same", "differences", "told"}. Raises WorkbenchError when the data is not what it was."""
    known = card.Card.read(run)
    if known.tool not in TOOLS:
        raise WorkbenchError(f"Runs of {known.tool} have a command of their own.", hint="See its documentation.")
    settings = {**known.settings, "out": out, "device": device}
    places: dict[str, str] = {}
    for item in known.data:
        path = (data_root / item["name"]) if data_root else Path(item["path"])
        if not path.exists():
            raise WorkbenchError(f"{path} is not there.", hint="Name its folder with --data-root.")
        if card.described(path)["sha256"] != item["sha256"]:
            raise WorkbenchError(f"{path} is not what the run was made of: its checksum differs.")
        places[item["path"]] = str(path)
    moved = {key: _moved(value, places) for key, value in settings.items()}
    now = card.code()
    told = [f"{key}: {known.code.get(key)} then, {now.get(key)} now" for key in now if known.code.get(key) != now[key]]
    work = importlib.import_module(TOOLS[known.tool]).work
    results = command.start(known.tool, moved, work)
    differences = card.compare(known.results, json.loads(json.dumps(results)), tolerance=tolerance)
    return {"same": not differences, "differences": differences, "told": told}


def _moved(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_moved(item, places) for item in value]
    return places.get(value, value) if isinstance(value, str) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m inference.runs.reproduce", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run, or its card.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.01, help="relative difference of numbers that is allowed")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args(arguments)
    try:
        found = again(given.run, given.out, device=given.device, data_root=given.data_root, tolerance=given.tolerance)
    except InferenceError as error:
        sys.stderr.write(in_full(error) + "\n")
        return 2
    for words in (*found["told"], *found["differences"]):
        sys.stderr.write(words + "\n")
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["same"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
