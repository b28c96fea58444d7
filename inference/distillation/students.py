"""Where a student begins: untrained, or with parts of its teacher.

With the teacher's width: every n-th layer as it is (DistilBERT, Sanh et al. 2019). Narrower: the same layers, evenly
chosen rows and columns (weight selection, Xu et al. 2024). Knows decoders of the Llama family; does not know data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from inference.dynamic import FAMILIES
from inference.errors import WorkbenchError
from inference.runs import models

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def configuration(
    teacher: PreTrainedConfig, *, layers: int, hidden: int, inner: int, heads: int, kv_heads: int
) -> PreTrainedConfig:
    """The teacher's kind with other sizes. Raises WorkbenchError."""
    if teacher.model_type not in FAMILIES:
        raise WorkbenchError(
            f"Students of the kind {teacher.model_type} are not supported.", hint=", ".join(sorted(FAMILIES))
        )
    if hidden % heads or heads % kv_heads:
        raise WorkbenchError(f"{hidden} is not divisible by {heads} heads, or those by {kv_heads} for keys and values.")
    values: dict[str, Any] = teacher.to_dict()
    for name in ("layer_types", "head_dim", "max_window_layers"):
        values.pop(name, None)
    values |= {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }
    if teacher.model_type == "qwen3":
        values["head_dim"] = hidden // heads
    return type(teacher)(**values)


def begin(config: PreTrainedConfig, teacher: PreTrainedModel | None, *, seed: int) -> PreTrainedModel:
    """An untrained student, or one that takes over what fits from the teacher."""
    student = models.new(config, seed=seed)
    if teacher is None:
        return student
    if teacher.config.model_type != config.model_type:
        raise WorkbenchError("A student takes over weights of its own kind only.")
    source = teacher.state_dict()
    rows = layer_choice(int(teacher.config.num_hidden_layers), int(config.num_hidden_layers))
    with torch.no_grad():
        for name, value in student.state_dict().items():
            found = source[_source_name(name, rows)]
            for axis, size in enumerate(value.shape):
                if size > found.shape[axis]:
                    raise WorkbenchError(f"{name} of the student is larger than the teacher's.")
                if size < found.shape[axis]:
                    chosen = _even(found.shape[axis], size)
                    if axis == (1 if ".o_proj." in name else 0) and "_proj." in name and ".self_attn." in name:
                        keys = ".k_proj." in name or ".v_proj." in name
                        chosen = _heads(teacher.config, config, keys=keys)
                    found = found.index_select(axis, chosen.to(found.device))
            value.copy_(found)
    return student


def _heads(teacher: PreTrainedConfig, student: PreTrainedConfig, *, keys: bool) -> torch.Tensor:
    """Rows of whole heads; in a narrower head, dimensions in the pairs that positions turn together."""
    wide, narrow = head_width(teacher), head_width(student)
    counts = [int(item.num_key_value_heads if keys else item.num_attention_heads) for item in (teacher, student)]
    half = _even(wide // 2, narrow // 2)
    inside = torch.cat([half, half + wide // 2])
    return torch.cat([head * wide + inside for head in _even(*counts).tolist()])


def head_width(config: PreTrainedConfig) -> int:
    """Dimensions of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def layer_choice(of: int, wanted: int) -> list[int]:
    """Evenly spread layers, first and last among them."""
    if wanted > of:
        raise WorkbenchError(f"The student has {wanted} layers, its teacher {of}.")
    return [round(number * (of - 1) / max(1, wanted - 1)) for number in range(wanted)]


def pairs(student: PreTrainedModel, teacher: PreTrainedModel) -> tuple[tuple[int, int], ...]:
    """Which inner states answer each other: the output of each student layer and of the teacher's at the same depth."""
    few, many = int(student.config.num_hidden_layers), int(teacher.config.num_hidden_layers)
    return tuple((number, round(number * many / few)) for number in range(1, few))  # the last one the head sees itself


def _even(of: int, wanted: int) -> torch.Tensor:
    return torch.linspace(0, of - 1, wanted).round().long()


def _source_name(name: str, rows: list[int]) -> str:
    head, separator, rest = name.partition("layers.")
    if not separator:
        return name
    number, _, tail = rest.partition(".")
    return f"{head}layers.{rows[int(number)]}.{tail}"
