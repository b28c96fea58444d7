"""nf4 and int8 one weight at a time: what is read is quantized at once and let go, so no second copy is ever in memory.

The library's own loading maps the whole file while it quantizes, and what is mapped counts as used: 4.9 times the final
size for nf4. Knows layers, weight files and bitsandbytes. Only families whose weights bear the names of the model's own
parameters are loaded here; `inference.loading` leaves the others to the library.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inference import quantization
from inference.dynamic import FAMILIES, Weights
from inference.quantization import Quantization

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def suits(folder: Path) -> bool:
    """Whether the model of a folder is of a kind that is loaded here."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return config.model_type in FAMILIES and getattr(config, "quantization_config", None) is None


def load(folder: Path, quantize: Quantization, device: str) -> PreTrainedModel:
    """The model of a folder in nf4 or int8, embeddings and output head in 16 bits. Raises ModelCorrupt."""
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    settings = quantization.configuration(quantize)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model = replace_with_bnb_linear(model, modules_to_not_convert=["lm_head"], quantization_config=settings)
    weights = Weights(folder)
    if "lm_head.weight" not in weights:
        config.tie_word_embeddings = True
        model.tie_weights()
    parameters = dict(model.named_parameters())  # a tied head is not named twice
    # the largest first, while little else is in memory
    for name in sorted(parameters, key=lambda name: -parameters[name].numel()):
        _place(model, name, weights[name], device)
    if config.tie_word_embeddings:
        model.tie_weights()
    body = model.get_decoder()
    body.rotary_emb = type(body.rotary_emb)(config=config).to(device)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    config.quantization_config = settings
    model.is_quantized = True
    setattr(model, "is_loaded_in_4bit" if quantize == "nf4" else "is_loaded_in_8bit", True)
    found: PreTrainedModel = model.eval().requires_grad_(False)
    return found


def _place(model: nn.Module, name: str, value: torch.Tensor, device: str) -> None:
    """Put one weight where it belongs, quantized when its layer is; the file is no longer mapped afterwards."""
    from bitsandbytes.nn import Int8Params, Params4bit

    path, _, last = name.rpartition(".")
    owner = model.get_submodule(path)
    old = getattr(owner, last)
    kind = type(old)
    if kind in {Int8Params, Params4bit}:
        kept = {key: item for key, item in vars(old).items() if key != "SCB"}
        new = kind(value.to(torch.bfloat16), requires_grad=False, **kept).to(device)
    else:
        new = nn.Parameter(value.to(device, torch.bfloat16, copy=True), requires_grad=False)
    setattr(owner, last, new)
