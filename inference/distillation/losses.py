"""The losses of distillation, each a mean over the learned positions of a batch.

Soft targets: Hinton, Vinyals and Dean 2015 (KL at temperature T, times T squared, so that the gradient keeps its size).
Features: Romero et al. 2015 and Jiao et al. 2020 (hidden states through a learned projection). Different vocabularies:
Boizard et al. 2024 (ULD: sorted probabilities, a Wasserstein distance that needs no common tokens). Shapes: logits
(positions, vocabulary), hidden states (positions, width). Knows tensors only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


def soft(student: torch.Tensor, teacher_log: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² KL(teacher ‖ student). `teacher_log` are log-probabilities at the temperature."""
    student_log = functional.log_softmax(student.float() / temperature, dim=-1)
    divergence = functional.kl_div(student_log, teacher_log, reduction="sum", log_target=True)
    return divergence / max(1, student.shape[0]) * temperature**2


def mixture(logits: Sequence[torch.Tensor], weights: Sequence[float], temperature: float) -> torch.Tensor:
    """Log-probabilities of several teachers together: the weighted mean of their probabilities at the temperature."""
    if len(logits) == 1:
        return functional.log_softmax(logits[0].float() / temperature, dim=-1)
    total = sum(weights)
    parts = [
        functional.log_softmax(item.float() / temperature, dim=-1) + torch.log(torch.tensor(weight / total))
        for item, weight in zip(logits, weights, strict=True)
    ]
    return torch.logsumexp(torch.stack(parts), dim=0)


def features(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared distance in units of the teacher's own variance (in this piece of the batch): one weight suits narrow and
    wide, early and late."""
    wanted = teacher.float()
    spread = wanted.var(dim=0).mean().clamp_min(1e-6)
    return (student.float() - wanted).square().mean() / spread


def sorted_distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """ULD: the distance between sorted probabilities; the shorter list is filled up with zeros."""
    a = functional.softmax(student.float(), dim=-1).sort(dim=-1, descending=True).values
    b = functional.softmax(teacher.float(), dim=-1).sort(dim=-1, descending=True).values
    width = max(a.shape[-1], b.shape[-1])
    a, b = (functional.pad(item, (0, width - item.shape[-1])) for item in (a, b))
    return (a - b).abs().sum(-1).mean()


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Mean entropy of the predictions, nats."""
    log = functional.log_softmax(logits.float(), dim=-1)
    return -(log.exp() * log).sum(-1).mean()
