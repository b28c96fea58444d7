"""Quantization-aware training: the model learns with rounded weights, so that rounding them later costs little.

Straight-through estimator (Bengio, Léonard and Courville 2013; Jacob et al. 2018): forward with rounded weights,
gradients as if they were not. Grids: `int8` per output channel (what `inference.dynamic` does), `nf4` in blocks of 64
(what bitsandbytes does). Knows linear layers; does not know what is learned.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils import parametrize

from inference.errors import WorkbenchError

Grid = Literal["int8", "nf4"]
_BLOCK = 64
_NF4 = (
    -1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
)  # fmt: skip


def rounded(weight: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The weight as the grid would keep it."""
    if grid == "int8":
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
        return (weight / scale).round() * scale
    flat = weight.flatten()
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % _BLOCK)).view(-1, _BLOCK)
    scale = padded.abs().amax(1, keepdim=True).clamp_min(1e-12)
    levels = torch.tensor(_NF4, device=weight.device, dtype=weight.dtype)
    edges = (levels[1:] + levels[:-1]) / 2
    kept = levels[torch.bucketize((padded / scale).contiguous(), edges)] * scale
    return kept.flatten()[: len(flat)].view_as(weight)


class Rounding(nn.Module):
    """As a parametrization of a weight: rounded forward, straight through backward."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid: Grid = grid

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (rounded(weight, self.grid) - weight).detach()


def begin(model: nn.Module, grid: Grid, *, leave: tuple[str, ...] = ("lm_head",)) -> int:
    """Round the linear layers from now on; how many. Raises WorkbenchError when there is none."""
    count = 0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] not in leave:
            parametrize.register_parametrization(module, "weight", Rounding(grid))
            count += 1
    if not count:
        raise WorkbenchError("The model has no linear layer to round.")
    return count


def end(model: nn.Module) -> None:
    """Ordinary layers again, with the weights that were learned (not yet rounded: the recipe will do that)."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight"):
            parts: Any = module.parametrizations
            learned = parts["weight"].original
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            with torch.no_grad():
                module.weight.copy_(learned)
