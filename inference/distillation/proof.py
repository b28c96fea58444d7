"""Does it work? ``python -m inference.distillation.proof --data FILE… --out DIR``: a teacher, students, a table.

A teacher is trained from scratch on public prose, then students several times smaller, in arms:

    hard        no teacher at all: the same student, the same data, the same number of steps, random beginning
    start       hard labels only, but begun with parts of the teacher (weight selection)
    babyllama   the published recipe of Baby Llama (Timiryasov and Tastet 2023): soft targets at T = 2, half and half,
                random beginning
    sequence    half of the data is text that the teacher wrote (Kim and Rush 2016), random beginning
    ours        begun with parts of the teacher, soft targets and inner states

Fixed before measuring: quality is the share of right next tokens on held-out documents ("kept" is the student's share
over the teacher's), the loss in nats per token stands beside it; arms are compared on the same documents with a paired
bootstrap over documents and seeds; the best state of every training is chosen on other documents (validation). Then the
first distilled student is pruned, recovers with the teacher, is quantized, and every step is measured (`steps`).
Resumable: parts that are there are not made again.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from inference.distillation import sequence, steps, students
from inference.distillation.objective import Distillation, Mixture, Supervised
from inference.pruning import importance, structure
from inference.runs import card, checks, documents, models
from inference.runs.data import Item, TextBlocks, read, split
from inference.runs.folder import RunFolder, write_text
from inference.runs.training import TrainingOptions, fit

TOOL = "inference.distillation.proof"
_END = "<end>"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes of both models, and of the trainings. Everything that the numbers depend on."""

    vocabulary: int = 8192
    context: int = 256
    teacher: tuple[int, int, int, int, int] = (16, 320, 896, 5, 5)  # layers, width, inner width, heads, kv heads
    student: tuple[int, int, int, int, int] = (3, 256, 704, 4, 4)
    teacher_steps: int = 2000
    student_steps: int = 1500
    recovery_steps: int = 400
    batch: int = 64
    teacher_batch: int = 64
    teacher_rate: float = 2e-3
    rate: float = 3e-3
    alpha: float = 0.9
    temperature: float = 1.0
    feature_weight: float = 0.05
    seeds: int = 5
    seeds_of_others: int = 2
    written_tokens: int = 600_000
    pruned: tuple[float, float, float] = (1.0, 0.75, 0.75)  # shares of layers, heads, neurons that stay
    precision: str = "bf16"
    evaluate_every: int = 250
    arms: str = "hard,start,babyllama,sequence,ours"


# `--small`: minutes on a processor. The same questions and measures; sizes at which the margin can be seen there.
SMALL = Settings(
    vocabulary=1024,
    context=96,
    teacher=(4, 128, 352, 4, 4),
    student=(2, 64, 176, 2, 2),
    teacher_steps=600,
    student_steps=300,
    recovery_steps=60,
    batch=16,
    teacher_batch=16,
    seeds=3,
    seeds_of_others=1,
    precision="fp32",
    evaluate_every=100,
    arms="hard,start,babyllama,ours",
)


class Material:
    """Data and tokenizer of a run; the same in every process."""

    def __init__(self, settings: Settings, paths: Sequence[Path], out: Path) -> None:
        rest, self.test = split(read(paths), 0.08, salt="test")
        self.training, self.validation = split(rest, 0.04, salt="validation")
        self.settings = settings
        self.tokenizer = _tokenizer(self.training, settings.vocabulary, out / "tokenizer")

        self._cache = out / "blocks"

    def blocks(self, items: Sequence[Item]) -> TextBlocks:
        """Token blocks; cutting the training texts takes a while, so they are kept for the other processes."""
        if items is not self.training:
            return TextBlocks(items, self.tokenizer, self.settings.context)
        if not self._cache.is_file():
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            made = TextBlocks(items, self.tokenizer, self.settings.context).blocks.numpy()
            partial = self._cache.with_suffix(f".{os.getpid()}")
            save_file({"blocks": made}, partial)
            partial.replace(self._cache)
        return TextBlocks.of(torch.from_numpy(load_file(self._cache)["blocks"]))


def _tokenizer(items: Sequence[Item], size: int, folder: Path) -> Any:
    """Byte-level BPE of the training texts, made once."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    if not (folder / "tokenizer.json").is_file():
        made = Tokenizer(BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[_END], initial_alphabet=alphabet, show_progress=False
        )
        made.train_from_iterator((item.text for item in items), trainer)
        PreTrainedTokenizerFast(tokenizer_object=made, eos_token=_END).save_pretrained(folder)
    return models.tokenizer_of(folder)


def _configuration(settings: Settings, sizes: Sequence[int], end: int) -> Any:
    from transformers import Qwen2Config

    layers, width, inner, heads, kv_heads = sizes
    return Qwen2Config(
        vocab_size=settings.vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=1024,
        eos_token_id=end,
        bos_token_id=None,
        tie_word_embeddings=True,
    )


def _options(settings: Settings, *, teacher: bool = False, seed: int = 1, steps: int = 0) -> TrainingOptions:
    steps = steps or (settings.teacher_steps if teacher else settings.student_steps)
    return TrainingOptions(
        steps=steps,
        batch=settings.teacher_batch if teacher else settings.batch,
        rate=settings.teacher_rate if teacher else settings.rate,
        warmup=max(1, min(100, steps // 10)),
        floor=0.05,
        precision=settings.precision,
        evaluate_every=settings.evaluate_every,
        save_every=10 * settings.evaluate_every,
        log_every=max(1, min(50, steps // 10)),
        seed=seed,
    )


def part(job: tuple[Settings, list[Path], Path, str, int, str]) -> None:
    """Train one model (`teacher`, or an arm with a seed), measure it on the test documents, keep both."""
    settings, paths, out, arm, seed, device = job
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    name = arm if arm == "teacher" else f"{arm}-{seed}"
    folder = RunFolder(out, tool=TOOL, settings=_asked(settings, paths)).part(name)
    if (folder.path / "scores.safetensors").is_file():
        return
    began = time.time()
    material = Material(settings, paths, out)
    training = material.blocks(material.training)
    teacher = None if arm in {"teacher", "hard"} else _teacher(out, device)
    if arm == "sequence":
        written = read([out / "written.kept.jsonl"])
        training = material.blocks([*_half(material.training), *written])
    objective = _objective(settings, arm, seed, teacher, material)
    trained = fit(
        objective,
        training,
        material.blocks(material.validation),
        _options(settings, teacher=arm == "teacher", seed=seed),
        folder,
        device=device,
        evaluation_batch=64,
        vocabulary=settings.vocabulary,
        say=lambda words: log.info("%s: %s", name, words),
    )
    model: Any = objective.body()
    models.save(model, material.tokenizer, folder.path / "model")
    _measure(model, material, folder.path, {**asdict(trained), "whole_seconds": time.time() - began})
    folder.drop_state()


def _objective(settings: Settings, arm: str, seed: int, teacher: Any, material: Material) -> Supervised | Distillation:
    end = material.tokenizer.eos_token_id
    sizes = settings.teacher if arm == "teacher" else settings.student
    begun = teacher if arm in {"start", "ours"} else None
    model = students.begin(_configuration(settings, sizes, end), begun, seed=seed)
    if arm == "babyllama":
        return Distillation(model, [teacher], Mixture(alpha=0.5, temperature=2.0))
    if arm == "ours":
        pairs = students.pairs(model, teacher) if settings.feature_weight else ()
        mixture = Mixture(settings.alpha, settings.temperature, settings.feature_weight, pairs)
        return Distillation(model, [teacher], mixture)
    return Supervised(model)


def _measure(model: Any, material: Material, folder: Path, facts: dict[str, Any]) -> None:
    """On test documents, in single precision on the graphics card as on the processor."""
    texts = documents.Documents(material.test, material.tokenizer, material.settings.context)
    found = documents.scores(model, texts)
    facts |= {"parameters": models.parameters(model)}
    (folder / "facts.json").write_text(json.dumps(facts), "utf-8")
    save_file({"scores": found}, folder / "scores.safetensors")


def _teacher(out: Path, device: str) -> Any:
    """In 16 bits on a graphics card: as exact as the training itself, and quicker."""
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    return models.load(out / "teacher" / "model", device=device, dtype=dtype)


def _half(items: Sequence[Item]) -> list[Item]:
    return list(items[::2])


def _write_texts(settings: Settings, paths: list[Path], out: Path, device: str) -> None:
    """The teacher's own texts, begun with the first words of training texts it is not trained on in this arm."""
    if "sequence" not in settings.arms or (out / "written.kept.jsonl").is_file():
        return
    material = Material(settings, paths, out)
    new, given = 224, 24
    count = settings.written_tokens // new
    blocks = material.blocks(material.training[1::2]).blocks[:count]
    items = [Item(str(number), material.tokenizer.decode(row[:given])) for number, row in enumerate(blocks.tolist())]
    teacher = _teacher(out, device)
    sequence.write(
        teacher, material.tokenizer, items, out / "written.jsonl", new_tokens=new, prompt_tokens=given, temperature=1.0,
        batch=1024,
    )  # fmt: skip


def _smaller(settings: Settings, paths: list[Path], out: Path, device: str) -> list[dict[str, Any]]:
    """Prune and quantize the first distilled student; a row for every step, the processor's times on two threads.
    Given again when all is there, the command measures these rows anew."""
    material = Material(settings, paths, out)
    folder = RunFolder(out, tool=TOOL, settings=_asked(settings, paths)).part("pruned")
    if not (folder.path / "scores.safetensors").is_file():
        student = models.load(out / "ours-1" / "model", device=device)
        training = material.blocks(material.training)
        layers, heads, neurons = settings.pruned
        wanted = structure.Shape.shares(student.config, layers=layers, heads=heads, neurons=neurons)
        judged = importance.measure(
            student, [training.batch(range(at, at + 16)) for at in range(0, min(128, len(training) - 16), 16)]
        )
        small = structure.prune(student, wanted, judged)
        cut = documents.scores(small, documents.Documents(material.test, material.tokenizer, settings.context))
        teacher = _teacher(out, device)
        objective = Distillation(
            small.train().requires_grad_(True), [teacher], Mixture(settings.alpha, settings.temperature)
        )
        options = _options(settings, steps=settings.recovery_steps)
        fit(
            objective,
            training,
            material.blocks(material.validation),
            options,
            folder,
            device=device,
            evaluation_batch=64,
        )
        models.save(small, material.tokenizer, folder.path / "model")
        _measure(small, material, folder.path, {"accuracy_before_recovery": float(documents.accuracy(cut))})
    texts = documents.Documents(material.test, material.tokenizer, settings.context)
    return steps.table(out, ("teacher", "ours-1", "pruned"), texts, device)


def summary(settings: Settings, out: Path) -> dict[str, Any]:
    """What the arms came to; intervals are 95 %."""
    found: dict[str, list[Any]] = {}
    for path in sorted(out.glob("*/scores.safetensors")):
        arm = path.parent.name.rpartition("-")[0] or path.parent.name
        found.setdefault(arm, []).append(load_file(path)["scores"])
    teacher = found["teacher"]
    result: dict[str, Any] = {
        "teacher": {"accuracy": float(documents.accuracy(teacher[0])), "loss": float(documents.loss(teacher[0]))}
    }
    for arm in settings.arms.split(","):
        own = found[arm]
        row: dict[str, Any] = {"seeds": len(own)}
        row["accuracy"] = float(np.mean([documents.accuracy(item) for item in own]))
        row["loss"] = float(np.mean([documents.loss(item) for item in own]))
        row["kept_of_teacher"] = documents.compared(own, teacher, documents.accuracy, ratio=True).row()
        if arm != "hard" and "hard" in found:
            row["accuracy_over_hard"] = documents.compared(own, found["hard"], documents.accuracy).row()
            row["loss_under_hard"] = documents.compared(found["hard"], own, documents.loss).row()
        result[arm] = row
    return result


def _asked(settings: Settings, paths: Sequence[Path]) -> dict[str, Any]:
    return {**asdict(settings), "data": [path.name for path in paths]}


def run(settings: Settings, paths: list[Path], out: Path, *, device: str, parallel: int) -> dict[str, Any]:
    """Everything, in order."""
    began = time.time()
    folder = RunFolder(out, tool=TOOL, settings=_asked(settings, paths))
    material = Material(settings, paths, out)
    findings, numbers = checks.check(material.training, material.test, material.tokenizer, settings.context)
    arms = settings.arms.split(",")
    material.blocks(material.training)
    devices = _devices(device)
    first = [("teacher", 1)] + [("hard", seed) for seed in range(1, settings.seeds + 1) if "hard" in arms]
    # the teacher has one device to itself where there are several
    _each(
        [(settings, paths, out, arm, seed, devices[0] if arm == "teacher" else devices[-1]) for arm, seed in first],
        parallel,
    )
    log.info("teacher and students without one: %.0f s", time.time() - began)
    _write_texts(settings, paths, out, device)
    later = [("ours", seed) for seed in range(1, settings.seeds + 1)]
    later += [
        (arm, seed) for arm in arms if arm not in {"ours", "hard"} for seed in range(1, settings.seeds_of_others + 1)
    ]
    jobs = [(arm, seed) for arm, seed in later if arm in arms]
    _each([(settings, paths, out, *job, devices[number % len(devices)]) for number, job in enumerate(jobs)], parallel)
    log.info("all students: %.0f s", time.time() - began)
    results: dict[str, Any] = {"data": numbers, **summary(settings, out)}
    write_text(out / "arms.json", json.dumps(results, indent=1))
    if "ours" in arms:
        results["steps"] = _smaller(settings, paths, out, device)
        whole, small = results["steps"][0], results["steps"][1]
        results["times_smaller"] = round(whole["parameters"] / small["parameters"], 2)
        results["time_per_token_of_teacher"] = {
            key: round(small[key] / whole[key], 3) for key in ("processor_ms", "device_ms") if key in whole
        }
    said = [f"{item.level}: {item.words}" for item in findings]
    for path in sorted(out.glob("*/facts.json")):
        said += [f"{path.parent.name}: {words}" for words in json.loads(path.read_text("utf-8")).get("findings", [])]
    card.made(folder, data=paths, results=results, findings=said, began=began)
    return results


def _devices(device: str) -> list[str]:
    """Every graphics card when one is meant, else the processor."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] if device == "cuda" else [device]


def _each(jobs: list[Any], parallel: int) -> None:
    """One after the other, or several processes on one graphics card, which a small model does not fill."""
    if parallel < 2:
        for job in jobs:
            part(job)
        return
    threads = max(1, (os.cpu_count() or 1) // parallel)  # waiting threads of too many would keep each other waiting
    context = multiprocessing.get_context("spawn")
    with context.Pool(parallel, torch.set_num_threads, (threads,), maxtasksperchild=1) as pool:
        pool.map(part, jobs, chunksize=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog=f"python -m {TOOL}", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="archives of prose, or JSON lines")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--parallel", type=int, default=1, help="trainings at once on one graphics card")
    parser.add_argument("--small", action="store_true", help="sizes for a processor: minutes instead of GPU hours")
    parser.add_argument("--settings", default="{}", help="JSON: what to change of the settings")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    changed: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(given.settings).items()
    }
    settings = replace(SMALL if given.small else Settings(), **changed)
    results = run(settings, given.data, given.out, device=given.device, parallel=given.parallel)
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
