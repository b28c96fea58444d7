"""Which layers, heads and neurons a model could do without, judged on a few batches of data.

Heads and neurons: first-order Taylor, |activation times gradient| summed over tokens (Molchanov et al. 2019; Michel et
al. 2019). Layers: how little a layer turns its input, one minus the cosine (block influence, Men et al. 2024). Knows
decoders of the Llama family; removes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from inference.distillation.objective import inputs, learned
from inference.runs.data import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Importance:
    """`layers` (layers,), `heads` (layers, query heads), `neurons` (layers, inner width); larger matters more."""

    layers: torch.Tensor
    heads: torch.Tensor
    neurons: torch.Tensor


def measure(model: PreTrainedModel, batches: Iterable[Batch]) -> Importance:
    """Run the batches forward and backward; the model's weights are not touched."""
    body: Any = model.get_decoder()
    layers = list(body.layers)
    heads = int(model.config.num_attention_heads)
    turned = torch.zeros(len(layers), dtype=torch.float64)
    head_scores = torch.zeros(len(layers), heads, dtype=torch.float64)
    neuron_scores = torch.zeros(len(layers), int(model.config.intermediate_size), dtype=torch.float64)
    kept: dict[tuple[str, int], torch.Tensor] = {}
    hooks = []

    def keep(kind: str, number: int) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            if inputs[0].requires_grad:
                inputs[0].retain_grad()
            kept[kind, number] = inputs[0]

        return hook

    def influence(number: int) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
            after = output[0] if isinstance(output, tuple) else output
            near = functional.cosine_similarity(inputs[0].detach().float(), after.detach().float(), dim=-1)
            turned[number] += float((1 - near).mean())

        return hook

    for number, layer in enumerate(layers):
        hooks.append(layer.self_attn.o_proj.register_forward_pre_hook(keep("heads", number)))
        hooks.append(layer.mlp.down_proj.register_forward_pre_hook(keep("neurons", number)))
        hooks.append(layer.register_forward_hook(influence(number)))
    frozen = [value for value in model.parameters() if not value.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    try:
        model.eval()
        for batch in batches:
            piece = {key: value.to(model.device) for key, value in batch.items()}
            chosen, labels = learned(model(**inputs(piece)).logits, piece)
            functional.cross_entropy(chosen.float(), labels, reduction="sum").backward()
            for (kind, number), value in kept.items():
                assert value.grad is not None
                moved = (value.detach() * value.grad).float()
                if kind == "heads":
                    moved = moved.unflatten(-1, (heads, -1)).sum(-1)
                score = moved.abs().sum(dim=(0, 1)).double().cpu()
                (head_scores if kind == "heads" else neuron_scores)[number] += score
            model.zero_grad(set_to_none=True)
            kept.clear()
    finally:
        for hook in hooks:
            hook.remove()
        for weight in frozen:
            weight.requires_grad_(False)
    return Importance(turned, head_scores, neuron_scores)
