"""The training loop: one for distillation, recovery after pruning, quantization-aware and adapter training.

The place in the data, the rate and the randomness of a step depend on the step's number and the seed alone, so a run
that was killed goes on from its last saved state and ends as if nothing had happened. A step's gradient is the mean
over all its learned tokens, however they are divided among processes and pieces. Knows an objective (a module that
returns its loss) and examples; does not know what is learned. Several processes are joined by accelerate (`workers`).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from inference.errors import WorkbenchError
from inference.runs import monitors, plots
from inference.runs.data import IGNORED, Batch, Examples
from inference.runs.folder import RunFolder, write_text
from inference.runs.workers import Workers

Facts = dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """`batch` counts examples per step, over all processes and `accumulation` pieces; `warmup` steps of rising rate,
    then a cosine down to `floor` times `rate`; `patience` evaluations without a better one end the run (0: never).
    """

    steps: int
    batch: int = 16
    accumulation: int = 1
    rate: float = 3e-4
    warmup: int = 50
    floor: float = 0.1
    weight_decay: float = 0.1
    clip: float = 1.0
    precision: str = "bf16"  # of activations; weights and optimizer stay in single precision
    checkpointing: bool = False
    evaluate_every: int = 100
    patience: int = 0
    save_every: int = 200
    log_every: int = 10
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.accumulation < 1:
            raise WorkbenchError("steps, batch and accumulation must be at least 1.")
        if self.batch % self.accumulation:
            raise WorkbenchError(f"batch {self.batch} is not divisible by accumulation {self.accumulation}.")
        if not (self.rate > 0 and 0 <= self.floor <= 1 and self.clip > 0):
            raise WorkbenchError("rate and clip must be positive, floor lie between 0 and 1.")
        if self.precision not in {"bf16", "fp32"}:
            raise WorkbenchError(f"precision must be bf16 or fp32, not {self.precision!r}.")


class Objective(nn.Module):
    """What is trained. `forward(batch)` returns `loss`, the mean over its learned tokens, and facts to be logged;
    `held_out(batch)` the summed loss by which the best state is chosen, and its tokens. `watched` is true in steps that
    are logged: facts that cost time are computed only then.
    """

    watched = True

    def held_out(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def body(self) -> nn.Module:
        """The model that is kept; what else is trained (projections) is scaffolding."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it; the objective holds the best weights."""

    steps: int
    best: float
    best_step: int
    tokens: int
    seconds: float
    findings: list[str]


def rate_at(step: int, options: TrainingOptions) -> float:
    """Warm-up, then a cosine; `step` counts from 0."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    done = min(1.0, (step - options.warmup) / max(1, options.steps - options.warmup))
    return options.rate * (options.floor + (1 - options.floor) * 0.5 * (1 + math.cos(math.pi * done)))


def rows_of(step: int, options: TrainingOptions, count: int) -> list[int]:
    """The examples of a step: an endless row of epochs, each in an order of its own."""
    wanted = range(step * options.batch, (step + 1) * options.batch)
    orders: dict[int, list[int]] = {}
    found = []
    for place in wanted:
        epoch = place // count
        if epoch not in orders:
            generator = torch.Generator().manual_seed(options.seed * 1_000_003 + epoch)
            orders[epoch] = torch.randperm(count, generator=generator).tolist()
        found.append(orders[epoch][place % count])
    return found


def fit(
    objective: Objective,
    training: Examples,
    held_out: Examples,
    options: TrainingOptions,
    folder: RunFolder,
    *,
    device: str = "cpu",
    workers: Workers | None = None,
    evaluation_batch: int = 0,
    vocabulary: int = 0,
    say: Callable[[str], None] | None = None,
) -> Trained:
    """Train, from the saved state if there is one. Raises WorkbenchError when the loss stops being a number."""
    return _Fit(objective, training, held_out, options, folder, device, workers or Workers(), evaluation_batch).run(
        vocabulary, say or _stderr
    )


class _Fit:
    def __init__(
        self,
        objective: Objective,
        training: Examples,
        held_out: Examples,
        options: TrainingOptions,
        folder: RunFolder,
        device: str,
        workers: Workers,
        evaluation_batch: int,
    ) -> None:
        if options.batch % (options.accumulation * workers.count):
            raise WorkbenchError(
                f"A batch of {options.batch} cannot be divided among {workers.count} processes and "
                f"{options.accumulation} pieces."
            )
        self.objective, self.training, self.held = objective.to(device), training, held_out
        self.options, self.folder, self.device, self.workers = options, folder, device, workers
        self.evaluation_batch = evaluation_batch or max(1, options.batch // options.accumulation)
        self.weights = {name: value for name, value in objective.named_parameters() if value.requires_grad}
        if not self.weights:
            raise WorkbenchError("Nothing is to be trained: every weight is frozen.")
        decayed = [value for value in self.weights.values() if value.ndim >= 2]
        others = [value for value in self.weights.values() if value.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=options.rate,
            betas=(0.9, 0.95),
            fused=device.startswith("cuda"),
        )
        if options.checkpointing:
            body: Any = objective.body()
            body.activation_checkpointing_enable({"use_reentrant": False})
        self.wrapped = workers.prepare(self.objective)
        self.step = self.tokens = 0
        self.seconds = 0.0
        self.best, self.best_step, self.worse = math.inf, -1, 0
        self.best_weights: dict[str, torch.Tensor] = {}

    def run(self, vocabulary: int, say: Callable[[str], None]) -> Trained:
        self._resume(say)
        began = time.monotonic() - self.seconds
        while self.step < self.options.steps and not self._exhausted():
            row = self._one()
            self.seconds = time.monotonic() - began
            if row:
                self._tell(row, say)
            if self.step % self.options.evaluate_every == 0 or self.step == self.options.steps:
                self._evaluate(say)
            if self.step % self.options.save_every == 0:
                self._save()
        with torch.no_grad():
            for name, value in self.best_weights.items():
                self.weights[name].copy_(value)
        self.objective.eval()
        rows = self.folder.rows() if self.folder.writes else []
        draw(self.folder)
        found = monitors.explain(rows, clip=self.options.clip, vocabulary=vocabulary)
        return Trained(self.step, self.best, self.best_step, self.tokens, round(self.seconds, 1), found)

    def _exhausted(self) -> bool:
        return 0 < self.options.patience <= self.worse

    def _one(self) -> Facts:
        """One step of the optimizer."""
        options, workers = self.options, self.workers
        torch.manual_seed(options.seed * 7_919 + self.step * workers.count + workers.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, options)
        rows = rows_of(self.step, options, len(self.training))[workers.rank :: workers.count]
        size = len(rows) // options.accumulation
        pieces = [self.training.batch(rows[at : at + size]) for at in range(0, len(rows), size)]
        learned = [int((piece["labels"][:, 1:] != IGNORED).sum()) for piece in pieces]
        total = sum(learned)
        if workers.count > 1:
            total = int(workers.sum(torch.tensor([float(total)], device=self.device))[0])
        if not total:
            raise WorkbenchError("A batch has no token to learn.", hint="Look at the data: are all labels masked?")
        sums: dict[str, torch.Tensor] = {}
        self.wrapped.train()
        watched = (self.step + 1) % options.log_every == 0 or self.step + 1 == options.steps
        self.objective.watched = watched
        for number, (piece, count) in enumerate(zip(pieces, learned, strict=True)):
            batch = {key: value.to(self.device, non_blocking=True) for key, value in piece.items()}
            with workers.together(self.wrapped, last=number == len(pieces) - 1):
                with self._precision():
                    out = self.wrapped(batch)
                (out["loss"] * (count * workers.count / total)).backward()
            for key, value in out.items():
                sums[key] = sums.get(key, 0.0) + value.detach().float() * count
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += total
        # Reading a number back waits for the device: only steps that are logged pay for it.
        if not watched:
            return {}
        keys = sorted(sums)
        means = workers.sum(torch.stack([sums[key] for key in keys])) / total
        facts = {key: float(value) for key, value in zip(keys, means, strict=True)} | {"norm": float(norm)}
        if not math.isfinite(facts["loss"]):
            raise WorkbenchError(
                f"The loss is not a number at step {self.step}.", hint="Lower --rate, or use --precision fp32."
            )
        return facts

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.options.precision == "bf16")

    def _tell(self, facts: Facts, say: Callable[[str], None]) -> None:
        left = self.seconds / self.step * (self.options.steps - self.step)
        row = {"step": self.step, **{key: round(value, 6) for key, value in facts.items()}}
        row |= {"rate": rate_at(self.step - 1, self.options), "tokens": self.tokens, "seconds": round(self.seconds, 2)}
        self.folder.log(row)
        if self.workers.first:
            words = " ".join(f"{key} {value:.4g}" for key, value in facts.items())
            say(f"step {self.step}/{self.options.steps} {words} ({left:.0f} s left)")

    @torch.no_grad()
    def _evaluate(self, say: Callable[[str], None]) -> None:
        self.wrapped.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        rows = range(self.workers.rank, len(self.held), self.workers.count)
        for at in range(0, len(rows), self.evaluation_batch):
            piece = self.held.batch(list(rows[at : at + self.evaluation_batch]))
            with self._precision():
                loss, count = self.objective.held_out({key: value.to(self.device) for key, value in piece.items()})
            sums += torch.stack([loss.double(), count.double()])
        loss_sum, count_sum = self.workers.sum(sums).tolist()
        value = loss_sum / max(1.0, count_sum)
        better = value < self.best
        self.folder.log({"step": self.step, "held_out": round(value, 6)})
        if self.workers.first:
            say(f"step {self.step}: held-out loss {value:.4f}{' (best)' if better else ''}")
        if better:
            self.best, self.best_step, self.worse = value, self.step, 0
            self.best_weights = {name: weight.detach().clone() for name, weight in self.weights.items()}
        else:
            self.worse += 1

    def _save(self) -> None:
        names = {id(value): name for name, value in self.weights.items()}
        moments = {
            f"{names[id(weight)]}.{key}": value
            for weight, kept in self.optimizer.state.items()
            for key, value in kept.items()
        }
        facts = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}
        facts |= {"best": self.best, "best_step": self.best_step, "worse": self.worse}
        tensors: dict[str, Mapping[str, torch.Tensor]] = {"weights": self.weights, "optimizer": moments}
        if self.best_weights:
            tensors["best"] = self.best_weights
        self.folder.save_state(tensors, facts)
        self.workers.wait()

    def _resume(self, say: Callable[[str], None]) -> None:
        found = self.folder.load_state("weights", "optimizer", "best")
        if found is None:
            return
        tensors, facts = found
        with torch.no_grad():
            for name, value in self.weights.items():
                value.copy_(tensors["weights"][name])
        for name, value in self.weights.items():
            moments = {key: tensors["optimizer"][f"{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            place = self.device if self.device.startswith("cuda") else "cpu"
            self.optimizer.state[value] = {key: moment.to(place) for key, moment in moments.items()}
        self.best_weights = {name: value.to(self.device) for name, value in tensors.get("best", {}).items()}
        self.step, self.tokens, self.seconds = facts["step"], facts["tokens"], facts["seconds"]
        self.best, self.best_step, self.worse = facts["best"], facts["best_step"], facts["worse"]
        self.folder.forget_after(self.step)
        if self.workers.first:
            say(f"going on from step {self.step}")


def draw(folder: RunFolder) -> None:
    """The plots of a run's log."""
    if not folder.writes:
        return
    rows = folder.rows()

    def series(*names: str) -> dict[str, list[tuple[float, float]]]:
        return {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}

    drawings = {
        "loss": plots.lines("Loss in nats per token", series("loss", "held_out", "soft", "hard")),
        "gradient": plots.lines("Norm of the gradient before clipping", series("norm")),
        "rate": plots.lines("Rate", series("rate")),
    }
    if any("teacher_entropy" in row for row in rows):
        names = ("teacher_entropy", "student_entropy")
        drawings["entropy"] = plots.lines("Entropy of the predictions, nats per token", series(*names))
    for name, drawing in drawings.items():
        write_text(folder.path / "plots" / f"{name}.svg", drawing)


def _stderr(words: str) -> None:
    sys.stderr.write(words + "\n")
