"""Distil a student: ``python -m inference.distillation --teacher DIR --data FILE… --out DIR``.

The student is `--student DIR`, or one of the given sizes of the teacher's kind, begun with parts of it. With
`--write FILE` the teacher first answers the prompts of the data (sequence-level) and the student learns what it wrote.
A killed run goes on when the same command is given again. Several GPUs: `accelerate launch -m inference.distillation`.
The last line of stdout is one JSON object; the folder holds `model/`, the log, plots and the card.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.distillation import sequence, students, vocabularies
from inference.distillation.objective import Distillation, Mixture
from inference.errors import WorkbenchError
from inference.runs import command, models
from inference.runs.data import Examples, read
from inference.runs.training import Objective

TOOL = "inference.distillation"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m {TOOL}", description=__doc__)
    made.add_argument("--teacher", type=Path, nargs="+", required=True, help="model folders; several are averaged")
    made.add_argument("--weights", type=float, nargs="*", default=[], help="of the teachers; equal when left out")
    made.add_argument("--student", type=Path, help="model folder to begin from")
    made.add_argument("--layers", type=int, default=0, help="or the sizes of a new one; 0: a third, or half")
    made.add_argument("--hidden", type=int, default=0)
    made.add_argument("--inner", type=int, default=0)
    made.add_argument("--heads", type=int, default=0)
    made.add_argument("--kv-heads", type=int, default=0)
    made.add_argument("--begin", choices=("teacher", "random"), default="teacher")
    made.add_argument("--alpha", type=float, default=0.9, help="share of the soft targets")
    made.add_argument("--temperature", type=float, default=1.0)
    made.add_argument("--feature-weight", type=float, default=0.0, help="of the inner states; pairs by depth")
    made.add_argument("--write", action="store_true", help="learn answers that the first teacher writes")
    made.add_argument("--new-tokens", type=int, default=256)
    command.add_common(made, steps=1000, rate=3e-4)
    return made


def work(run: command.Run) -> dict[str, Any]:
    """The run itself."""
    given = run.settings
    paths = [Path(item) for item in given["teacher"]]
    teachers = [models.load(path, device=run.device) for path in paths]
    tokenizers = [models.tokenizer_of(path) for path in paths]
    student, tokenizer = _student(run, teachers[0], tokenizers[0])
    training, held, findings, numbers = run.items(tokenizer)
    if given["write"]:
        out = run.folder.path / "written.jsonl"
        if run.workers.first:
            sequence.write(teachers[0], tokenizers[0], training, out, new_tokens=given["new_tokens"])
        run.workers.wait()
        training = read([out.with_name("written.kept.jsonl")])
    mixture = Mixture(given["alpha"], given["temperature"])
    foreign = [not vocabularies.same(tokenizer, other) for other in tokenizers]
    objective: Objective
    learned: Examples
    if not any(foreign):
        if given["feature_weight"]:
            pairs = students.pairs(student, teachers[0])
            mixture = Mixture(
                given["alpha"], given["temperature"], given["feature_weight"], pairs, tuple(given["weights"])
            )
        elif given["weights"]:
            mixture = Mixture(given["alpha"], given["temperature"], weights=tuple(given["weights"]))
        objective, learned = Distillation(student, teachers, mixture), run.examples(training, tokenizer)
    elif len(teachers) > 1 or given["feature_weight"]:
        raise WorkbenchError(
            "A teacher with another vocabulary stands alone and without features.",
            hint="Use --write with several teachers of different vocabularies, one run after the other.",
        )
    else:
        objective = vocabularies.AcrossVocabularies(student, teachers[0], given["alpha"])
        learned = vocabularies.AlignedTexts(training, tokenizer, tokenizers[0], given["context"])
    judged = run.examples(held, tokenizer)
    before = models.quality(student.to(run.device), judged)
    trained = run.fit(objective, learned, judged, vocabulary=int(student.config.vocab_size))
    results: dict[str, Any] = {"data": numbers, "before": before, "student": models.quality(student, judged)}
    if not foreign[0]:
        results["teacher"] = models.quality(teachers[0], judged)
        results["accuracy_kept"] = round(results["student"]["accuracy"] / max(results["teacher"]["accuracy"], 1e-9), 4)
    results |= {"parameters": models.parameters(student), "teacher_parameters": models.parameters(teachers[0])}
    results["training"] = {key: value for key, value in asdict(trained).items() if key != "findings"}
    if run.workers.first:
        results["bytes"] = models.save(student, tokenizer, run.folder.path / "model")
    data = [Path(item) for item in (*given["data"], *given["held_out"], *given["teacher"])]
    return run.finish(data=data, results=results, findings=[*findings, *trained.findings])


def _student(run: command.Run, teacher: Any, tokenizer: Any) -> tuple[Any, Any]:
    given = run.settings
    if given["student"]:
        return models.load(Path(given["student"])), models.tokenizer_of(Path(given["student"]))
    own = teacher.config
    heads = given["heads"] or max(1, own.num_attention_heads // 2)
    config = students.configuration(
        own,
        layers=given["layers"] or max(1, own.num_hidden_layers // 3),
        hidden=given["hidden"] or own.hidden_size // own.num_attention_heads * heads,
        inner=given["inner"] or own.intermediate_size // 2,
        heads=heads,
        kv_heads=given["kv_heads"] or max(1, min(heads, own.num_key_value_heads // 2)),
    )
    return students.begin(config, teacher if given["begin"] == "teacher" else None, seed=given["seed"]), tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command.run(TOOL, parser(), work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
