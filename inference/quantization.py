"""Quantization recipes: what each one is, what it costs, and where it may run.

Sources: LLM.int8() (Dettmers et al. 2022), QLoRA's nf4 with double quantization (Dettmers et al. 2023), both by
bitsandbytes; torch's dynamic quantization (`inference.dynamic`). Knows recipes; loading is `inference.loading`'s.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inference.errors import QuantizationRefused

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig

Quantization = Literal["none", "nf4", "int8", "dynamic8"]
HEADROOM = 1.3  # loading must never need more than this times the final size


@dataclass(frozen=True, slots=True)
class Recipe:
    """`bits` per weight of a linear layer, scales included, to estimate memory."""

    name: Quantization
    bits: float
    description: str


RECIPES: dict[str, Recipe] = {
    "none": Recipe("none", 16.0, "bfloat16 (float16 on older cards), no quantization"),
    "int8": Recipe("int8", 8.1, "bitsandbytes LLM.int8(), outliers in 16 bits"),
    "dynamic8": Recipe("dynamic8", 8.1, "int8 weights and activations on the processor"),
    "nf4": Recipe("nf4", 4.13, "bitsandbytes 4-bit NormalFloat with double quantization"),
}


def check(quantization: str) -> None:
    """Raises ValueError on an unknown name."""
    if quantization not in RECIPES:
        raise ValueError(f"quantization must be one of {sorted(RECIPES)}, not {quantization!r}")


def sixteen_bits(device: str) -> torch.dtype:
    """What a model computes in: bfloat16, and float16 on cards that only imitate it (before Ampere)."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def configuration(quantization: Quantization, device: str = "cpu") -> BitsAndBytesConfig | None:
    """transformers' configuration of a recipe, None when it needs none. Raises ValueError on an unknown name."""
    check(quantization)
    if quantization in {"none", "dynamic8"}:
        return None
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=sixteen_bits(device),
    )


def stored(folder: Path) -> Quantization | None:
    """The recipe by which the weights of a folder are quantized already, as its config.json says; None: they are not.

    Raises QuantizationRefused when it is none of these.
    """
    try:
        body: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the loader says what is wrong with the file
    found = body.get("quantization_config") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        return None
    if found.get("quant_method") == "dynamic8":
        return "dynamic8"
    if found.get("load_in_8bit"):
        return "int8"
    if found.get("load_in_4bit") and found.get("bnb_4bit_quant_type") == "nf4":
        return "nf4"
    method = found.get("bnb_4bit_quant_type") or found.get("quant_method") or "an unknown recipe"
    raise QuantizationRefused(
        f"{folder.name} is quantized by {method}, which does not run here.",
        hint="Import the unquantized model and quantize it here: manage.py models quantize.",
    )


def stored_settings(quantization: Quantization) -> dict[str, Any]:
    """What config.json says of weights that are stored quantized."""
    settings = configuration(quantization)
    return {"quant_method": quantization} if settings is None else dict(settings.to_dict())


def expected_bytes(parameters: int, embedding_parameters: int, quantization: Quantization) -> int:
    """Memory of the weights: linear layers by the recipe's bits, embeddings and norms in 16 bits."""
    linear = parameters - embedding_parameters
    embeddings = embedding_parameters * (3 if quantization == "dynamic8" else 2)  # there the head has a copy of its own
    return int(linear * RECIPES[quantization].bits / 8 + embeddings)
