"""Take layers, heads and neurons out of a model: fewer and smaller matrices, and a configuration that says so.

The result is an ordinary model of the same kind: saved, it loads with plain transformers. All layers have the same
sizes, because their configuration has one number for all. Query heads that share keys and values go or stay with them.
Knows decoders of the Llama family; does not judge what matters (`importance`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inference.distillation.students import head_width
from inference.dynamic import FAMILIES
from inference.errors import WorkbenchError
from inference.pruning.importance import Importance

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Shape:
    """What is to be left: numbers of layers, query heads, key-and-value heads and inner neurons."""

    layers: int
    heads: int
    kv_heads: int
    neurons: int

    @classmethod
    def of(cls, config: PreTrainedConfig) -> Shape:
        kv_heads = config.num_key_value_heads or config.num_attention_heads
        return cls(config.num_hidden_layers, config.num_attention_heads, kv_heads, config.intermediate_size)

    @classmethod
    def shares(cls, config: PreTrainedConfig, *, layers: float, heads: float, neurons: float) -> Shape:
        """Shares that stay, rounded to what is possible: whole groups of heads, neurons by eights."""
        full = cls.of(config)
        kv_heads = max(1, round(full.kv_heads * heads))
        inner = max(8, round(full.neurons * neurons / 8) * 8)
        return cls(
            max(1, round(full.layers * layers)),
            full.heads // full.kv_heads * kv_heads,
            kv_heads,
            min(full.neurons, inner),
        )


def prune(model: PreTrainedModel, wanted: Shape, importance: Importance) -> PreTrainedModel:
    """A smaller copy. Raises WorkbenchError for a shape that cannot be."""
    config = model.config
    _check(config, wanted)
    small_config = _configuration(config, wanted)
    layers = _best(importance.layers, wanted.layers)
    group = int(config.num_attention_heads) // Shape.of(config).kv_heads
    width = head_width(config)
    source = model.state_dict()
    with torch.device("meta"):
        small = type(model)(small_config)
    state: dict[str, torch.Tensor] = {}
    chosen = {}
    for number, layer in enumerate(layers):
        shares = importance.heads[layer].unflatten(0, (-1, group))
        groups = _best(shares.sum(1), wanted.kv_heads)
        inside = wanted.heads // wanted.kv_heads
        heads = [index * group + head for index in groups for head in _best(shares[index], inside)]
        neurons = _best(importance.neurons[layer], wanted.neurons)
        chosen[number] = (layer, _rows(heads, width), _rows(groups, width), torch.tensor(neurons))
    for name in small.state_dict():
        state[name] = _taken(name, source, chosen).clone()
    small.load_state_dict(state, assign=True)
    _rotary(small, model)
    small.tie_weights()
    small.generation_config = copy.deepcopy(model.generation_config)
    placed: PreTrainedModel = small.to(model.device).eval()  # type: ignore[arg-type]
    return placed


def _check(config: PreTrainedConfig, wanted: Shape) -> None:
    if config.model_type not in FAMILIES:
        raise WorkbenchError(
            f"Models of the kind {config.model_type} cannot be pruned.", hint=", ".join(sorted(FAMILIES))
        )
    full = Shape.of(config)
    for name in ("layers", "heads", "kv_heads", "neurons"):
        left, there = getattr(wanted, name), getattr(full, name)
        if not 1 <= left <= there:
            raise WorkbenchError(f"{name}: {left} cannot be left of {there}.")
    if wanted.heads % wanted.kv_heads or wanted.heads // wanted.kv_heads > full.heads // full.kv_heads:
        raise WorkbenchError(f"{wanted.heads} heads cannot share {wanted.kv_heads} for keys and values.")


def _configuration(config: PreTrainedConfig, wanted: Shape) -> PreTrainedConfig:
    small = copy.deepcopy(config)
    small.head_dim = head_width(config)  # no longer width / heads
    small.num_hidden_layers, small.intermediate_size = wanted.layers, wanted.neurons
    small.num_attention_heads, small.num_key_value_heads = wanted.heads, wanted.kv_heads
    kinds = getattr(config, "layer_types", None)
    if kinds:
        if len(set(kinds)) > 1:
            raise WorkbenchError("Models with layers of several kinds cannot be pruned.")
        small.layer_types = list(kinds[: wanted.layers])
    if getattr(small, "max_window_layers", None) is not None:
        small.max_window_layers = min(int(small.max_window_layers), wanted.layers)
    return small


def _taken(name: str, source: dict[str, torch.Tensor], chosen: dict[int, Any]) -> torch.Tensor:
    head, separator, rest = name.partition("layers.")
    if not separator:
        return source[name]
    number, _, tail = rest.partition(".")
    layer, queries, keys, neurons = chosen[int(number)]
    value = source[f"{head}layers.{layer}.{tail}"]
    if ".q_proj." in name:
        return value[queries.to(value.device)]
    if ".k_proj." in name or ".v_proj." in name:
        return value[keys.to(value.device)]
    if ".o_proj.weight" in name:
        return value[:, queries.to(value.device)]
    if ".gate_proj." in name or ".up_proj." in name:
        return value[neurons.to(value.device)]
    if ".down_proj.weight" in name:
        return value[:, neurons.to(value.device)]
    return value


def _rotary(small: nn.Module, model: nn.Module) -> None:
    """Buffers that no file holds (the angles of positions) are made anew: on the meta device they are empty."""
    body: Any = small.get_decoder()  # type: ignore[operator]
    full: Any = model.get_decoder()  # type: ignore[operator]
    body.rotary_emb = type(full.rotary_emb)(config=body.config)


def _best(scores: torch.Tensor, count: int) -> list[int]:
    """Numbers of the `count` highest, in their order."""
    return sorted(scores.argsort(descending=True, stable=True)[:count].tolist())


def _rows(heads: list[int], width: int) -> torch.Tensor:
    return torch.cat([torch.arange(head * width, (head + 1) * width) for head in heads])
