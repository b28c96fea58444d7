"""Prune a model: ``python -m inference.pruning --model DIR --data FILE… --out DIR --neurons 0.5 …``.

What matters least on the data goes, then the smaller model recovers: it learns from the whole one
(`--recovery distil`) or from the data alone (`labels`). The folder holds `model/`, an ordinary, smaller model, and
the card with size, time per token and quality before, after the cut and after the recovery. A killed run goes on
when the same command is given again; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.distillation.objective import Distillation, Mixture, Supervised
from inference.errors import WorkbenchError
from inference.pruning import importance, structure
from inference.runs import command, models

TOOL = "inference.pruning"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m {TOOL}", description=__doc__)
    made.add_argument("--model", type=Path, required=True)
    made.add_argument("--layers", type=float, default=1.0, help="share of the layers that stays")
    made.add_argument("--heads", type=float, default=1.0, help="share of the attention heads that stays, whole groups")
    made.add_argument("--neurons", type=float, default=1.0, help="share of the inner neurons that stays")
    made.add_argument("--recovery", choices=("distil", "labels", "none"), default="distil")
    made.add_argument("--judged", type=int, default=64, help="examples by which importance is judged")
    command.add_common(made, steps=500, rate=2e-4)
    return made


def work(run: command.Run) -> dict[str, Any]:
    """The run itself."""
    given = run.settings
    for name in ("layers", "heads", "neurons"):
        if not 0 < given[name] <= 1:
            raise WorkbenchError(f"--{name} is the share that stays, above 0 and at most 1.")
    whole = models.load(Path(given["model"]), device=run.device)
    tokenizer = models.tokenizer_of(Path(given["model"]))
    training, held, findings, numbers = run.items(tokenizer)
    learned, judged = run.examples(training, tokenizer), run.examples(held, tokenizer)
    shape = structure.Shape.shares(whole.config, layers=given["layers"], heads=given["heads"], neurons=given["neurons"])
    count = min(given["judged"], len(learned))
    pieces = [learned.batch(range(at, min(at + 8, count))) for at in range(0, count, 8)]
    small = structure.prune(whole, shape, importance.measure(whole, pieces))
    results: dict[str, Any] = {"data": numbers, "shape": asdict(shape)}
    results["whole"] = _measured(whole, judged)
    results["cut"] = models.quality(small, judged)
    said: list[str] = []
    if given["recovery"] != "none":
        small.requires_grad_(True)
        objective = (
            Distillation(small, [whole], Mixture(alpha=0.9, temperature=1.0))
            if given["recovery"] == "distil"
            else Supervised(small)
        )
        trained = run.fit(objective, learned, judged, vocabulary=int(small.config.vocab_size))
        said = trained.findings
        results["training"] = {key: value for key, value in asdict(trained).items() if key != "findings"}
    results["pruned"] = _measured(small, judged)
    results["smaller"] = round(results["whole"]["parameters"] / results["pruned"]["parameters"], 3)
    results["speedup"] = round(results["whole"]["seconds_per_token"] / results["pruned"]["seconds_per_token"], 3)
    if run.workers.first:
        results["bytes"] = models.save(small, tokenizer, run.folder.path / "model")
    data = [Path(item) for item in (*given["data"], *given["held_out"], given["model"])]
    return run.finish(data=data, results=results, findings=[*findings, *said])


def _measured(model: Any, judged: Any) -> dict[str, Any]:
    pace = models.seconds_per_token(model, list(range(2, 18)), tokens=32)
    row = {**models.quality(model, judged), "parameters": models.parameters(model)}
    return {**row, "seconds_per_token": round(pace, 6)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command.run(TOOL, parser(), work, arguments)
