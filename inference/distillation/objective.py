"""A student in front of its teachers: hard labels, soft targets and inner states, mixed into one loss.

    loss = alpha * soft + (1 - alpha) * hard + feature_weight * features

Supported: any number of teachers with the student's vocabulary (tables padded to different sizes are cut to the common
part). A teacher with another vocabulary joins through `vocabularies`, with sorted probabilities where both tokenizers
have a boundary; its features are not supported (its positions are others), nor are encoders and mixtures of experts.
Knows models and tensors; does not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from inference.distillation import losses
from inference.errors import WorkbenchError
from inference.runs.data import IGNORED, Batch
from inference.runs.training import Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Mixture:
    """`alpha` is the share of the soft targets; `pairs` are (layer of the student, layer of the first teacher), 0 being
    the embeddings and -1 the last; `weights` of the teachers, equal when empty.
    """

    alpha: float = 0.5
    temperature: float = 2.0
    feature_weight: float = 0.0
    pairs: tuple[tuple[int, int], ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise WorkbenchError(f"alpha is a share between 0 and 1, not {self.alpha}.")
        if not 0.1 <= self.temperature <= 20:
            raise WorkbenchError(f"temperature must lie between 0.1 and 20, not {self.temperature}.")
        if self.feature_weight < 0 or (self.feature_weight > 0) != bool(self.pairs):
            raise WorkbenchError("A feature weight needs pairs of layers, and pairs need a positive weight.")


class Supervised(Objective):
    """Next-token loss alone: how the teacher is trained, and the student that has none."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def body(self) -> nn.Module:
        return self.model

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        chosen, labels = learned(self.model(**inputs(batch)).logits, batch)
        return {"loss": functional.cross_entropy(chosen.float(), labels)}

    def held_out(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return summed_loss(self.model, batch)


class Distillation(Objective):
    """One student, one or more teachers, which stay outside of the module: neither trained nor saved."""

    def __init__(self, student: PreTrainedModel, teachers: Sequence[PreTrainedModel], mixture: Mixture) -> None:
        super().__init__()
        if not teachers:
            raise WorkbenchError("Distillation needs a teacher.")
        if mixture.weights and len(mixture.weights) != len(teachers):
            raise WorkbenchError(f"{len(mixture.weights)} weights for {len(teachers)} teachers.")
        self.student = student
        self.mixture = mixture
        self._teachers = (tuple(teacher.eval().requires_grad_(False) for teacher in teachers),)
        self._weights = mixture.weights or (1.0,) * len(teachers)
        self.vocabulary = min(int(model.config.vocab_size) for model in (student, *teachers))
        self.projections = nn.ModuleList()
        if mixture.pairs:
            narrow, wide = (int(model.config.hidden_size) for model in (student, teachers[0]))
            for inner, outer in mixture.pairs:
                _check_layer(student, inner, "student")
                _check_layer(teachers[0], outer, "teacher")
                self.projections.append(nn.Linear(narrow, wide))

    @property
    def teachers(self) -> tuple[PreTrainedModel, ...]:
        return self._teachers[0]

    def body(self) -> nn.Module:
        return self.student

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        deep = bool(self.mixture.pairs)
        with torch.no_grad():
            known = [
                teacher(**inputs(batch), output_hidden_states=deep and number == 0)
                for number, teacher in enumerate(self.teachers)
            ]
        out = self.student(**inputs(batch), output_hidden_states=deep)
        chosen, labels = learned(out.logits, batch)
        chosen = chosen[:, : self.vocabulary]
        wanted = [learned(item.logits, batch)[0][:, : self.vocabulary] for item in known]
        facts: dict[str, torch.Tensor] = {}
        hard = functional.cross_entropy(chosen.float(), labels)
        with torch.no_grad():
            target = losses.mixture(wanted, self._weights, self.mixture.temperature)
            if self.watched:
                plain = losses.mixture(wanted, self._weights, 1.0)
                facts["teacher_entropy"] = -(plain.exp() * plain).sum(-1).mean()
                facts["student_entropy"] = losses.entropy(chosen)
        soft = losses.soft(chosen, target, self.mixture.temperature)
        loss = self.mixture.alpha * soft + (1 - self.mixture.alpha) * hard
        if deep:
            own = torch.stack(
                [
                    losses.features(projection(_flat(out, inner, batch)), _flat(known[0], outer, batch))
                    for projection, (inner, outer) in zip(self.projections, self.mixture.pairs, strict=True)
                ]
            ).mean()
            loss = loss + self.mixture.feature_weight * own
            facts["features"] = own
        return {"loss": loss, "soft": soft, "hard": hard, **facts}

    def held_out(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return summed_loss(self.student, batch)


def learned(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (positions, vocabulary) and labels of the positions whose next token is learned."""
    labels = batch["labels"][:, 1:]
    if "packed" in batch:  # blocks of text: every position counts, and nothing need be asked of the device
        return logits[:, :-1].flatten(0, 1), labels.flatten()
    known = labels != IGNORED
    return logits[:, :-1][known], labels[known]


def summed_loss(model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    chosen, labels = learned(model(**inputs(batch)).logits, batch)
    count = torch.tensor(labels.numel(), device=chosen.device)
    return functional.cross_entropy(chosen.float(), labels, reduction="sum"), count


def inputs(batch: Batch) -> dict[str, Any]:
    """What a model is called with; blocks of text need no mask, and without one attention takes its quick way."""
    mask = None if "packed" in batch else batch["attention_mask"]
    return {"input_ids": batch["input_ids"], "attention_mask": mask, "use_cache": False}


def _flat(out: Any, layer: int, batch: Batch) -> torch.Tensor:
    states: torch.Tensor = out.hidden_states[layer]
    return states.flatten(0, 1) if "packed" in batch else states[batch["attention_mask"].bool()]


def _check_layer(model: PreTrainedModel, layer: int, whose: str) -> None:
    count = int(model.config.num_hidden_layers)
    if not -count - 1 <= layer <= count:
        raise WorkbenchError(f"The {whose} has {count} layers, no layer {layer}.")
