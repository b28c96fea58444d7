"""Quantization recipes: what each one is, what it costs, and where it may run.

Sources: LLM.int8() (Dettmers et al. 2022), QLoRA's nf4 with double quantization (Dettmers et al. 2023), both by
bitsandbytes; torch's dynamic quantization (`inference.dynamic`). Knows recipes; loading is `inference.loading`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig

Quantization = Literal["none", "nf4", "int8", "dynamic8"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """`bits` per weight of a linear layer, scales included, to estimate memory."""

    name: Quantization
    bits: float
    description: str


RECIPES: dict[str, Recipe] = {
    "none": Recipe("none", 16.0, "bfloat16, no quantization"),
    "int8": Recipe("int8", 8.1, "bitsandbytes LLM.int8(), outliers in 16 bits"),
    "dynamic8": Recipe("dynamic8", 16.1, "int8 weights (twice) and activations on the processor, gated"),
    "nf4": Recipe("nf4", 4.13, "bitsandbytes 4-bit NormalFloat with double quantization"),
}


def check(quantization: str) -> None:
    """Raises ValueError on an unknown name."""
    if quantization not in RECIPES:
        raise ValueError(f"quantization must be one of {sorted(RECIPES)}, not {quantization!r}")


def configuration(quantization: Quantization) -> BitsAndBytesConfig | None:
    """transformers' configuration of a recipe, None when it needs none. Raises ValueError on an unknown name."""
    check(quantization)
    if quantization in {"none", "dynamic8"}:
        return None
    import torch
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def expected_bytes(parameters: int, embedding_parameters: int, quantization: Quantization) -> int:
    """Memory of the weights: linear layers by the recipe's bits, embeddings and norms in 16 bits."""
    linear = parameters - embedding_parameters
    embeddings = embedding_parameters * (4 if quantization == "dynamic8" else 2)  # there the head has its own copies
    return int(linear * RECIPES[quantization].bits / 8 + embeddings)
