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
from inference.dynamic import FAMILIES
from inference.memory import give_back
from inference.quantization import Quantization
from inference.weights import Weights

_PIECE = 2**17  # weights quantized at a time; a multiple of every block size

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def suits(folder: Path) -> bool:
    """Whether the model of a folder is of a kind that is loaded here."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).model_type in FAMILIES


def empty(folder: Path, quantize: Quantization, weights: Weights, device: str = "cpu") -> PreTrainedModel:
    """The model of a folder with quantized layers and no weights yet."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    settings = quantization.configuration(quantize, device)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=quantization.sixteen_bits(device))
    model = replace_with_bnb_linear(model, modules_to_not_convert=["lm_head"], quantization_config=settings)
    if "lm_head.weight" not in weights:
        config.tie_word_embeddings = True
        model.tie_weights()
    config.quantization_config = settings
    found: PreTrainedModel = model
    return found


def load(folder: Path, quantize: Quantization, device: str) -> PreTrainedModel:
    """The model of a folder in nf4 or int8, embeddings and output head in 16 bits; the folder holds it unquantized or
    quantized as wanted. Raises ModelCorrupt."""
    from transformers import GenerationConfig

    weights = Weights(folder)
    model: Any = empty(folder, quantize, weights, device)
    stored = quantization.stored(folder) is not None
    parameters = dict(model.named_parameters())  # a tied head is not named twice
    # the largest first, while little else is in memory
    for name in sorted(parameters, key=lambda name: -parameters[name].numel()):
        if not (stored and _take(model, name, weights, device)):
            place(model, name, weights[name], device)
        give_back()
    if model.config.tie_word_embeddings:
        model.tie_weights()
    body = model.get_decoder()
    body.rotary_emb = type(body.rotary_emb)(config=model.config).to(device)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    model.is_quantized = True
    setattr(model, "is_loaded_in_4bit" if quantize == "nf4" else "is_loaded_in_8bit", True)
    found: PreTrainedModel = model.eval().requires_grad_(False)
    return found


def place(model: nn.Module, name: str, value: torch.Tensor, device: str) -> nn.Module:
    """Put one weight where it belongs, quantized when its layer is; the file is no longer mapped afterwards."""
    from bitsandbytes.nn.modules import Int8Params, Params4bit

    path, _, last = name.rpartition(".")
    owner = model.get_submodule(path)
    old: Any = getattr(owner, last)
    kept = {key: item for key, item in vars(old).items() if key != "SCB"}
    quantized: Any = type(old)
    new: nn.Parameter
    if isinstance(old, Params4bit) and device == "cpu":
        new = _four_bits(value.to(torch.bfloat16), kept)
    elif isinstance(old, Params4bit | Int8Params):
        new = quantized(value.to(torch.bfloat16), requires_grad=False, **kept).to(device)
    else:
        new = nn.Parameter(value.to(device, old.dtype, copy=True), requires_grad=False)
    setattr(owner, last, new)
    return owner


def _take(model: nn.Module, name: str, weights: Weights, device: str) -> bool:
    """Put one weight that was quantized before where it belongs; False when its layer is not quantized."""
    from bitsandbytes.nn.modules import Int8Params, Params4bit

    path, _, last = name.rpartition(".")
    owner = model.get_submodule(path)
    old: Any = getattr(owner, last)
    kinds: Any = (Params4bit, Int8Params)  # in parts without types
    if isinstance(old, Params4bit):
        state = weights.below(f"{name}.")
        new = kinds[0].from_prequantized(weights[name].clone(), state, device=device, module=owner)
    elif isinstance(old, Int8Params):
        whole = weights[name].to(device, copy=True)
        scales = weights[f"{path}.SCB"].to(device, copy=True)
        new = kinds[1](whole, requires_grad=False, CB=whole, SCB=scales)
    else:
        return False
    setattr(owner, last, new)
    return True


def _four_bits(value: torch.Tensor, kept: dict[str, Any]) -> nn.Parameter:
    """bitsandbytes' double quantization, the first of the two a piece at a time: on the processor it compares every
    weight with all sixteen values at once, which takes 64 bytes for each."""
    from bitsandbytes import functional
    from bitsandbytes.nn.modules import Params4bit

    library: Any = functional  # in parts without types
    block, kind = kept["blocksize"], kept["quant_type"]
    packed = torch.empty((value.numel() + 1) // 2, 1, dtype=torch.uint8)
    absmax = torch.empty(-(-value.numel() // block))
    for number, piece in enumerate(value.reshape(-1).split(_PIECE)):
        codes, largest = torch.ops.bitsandbytes.quantize_4bit(piece, block, kind, torch.uint8)
        packed[number * _PIECE // 2 :][: len(codes)] = codes
        absmax[number * _PIECE // block :][: len(largest)] = largest
    offset = absmax.mean()
    twice, second = library.quantize_blockwise(absmax - offset, blocksize=256)
    state = library.QuantState(
        absmax=twice,
        shape=value.shape,
        dtype=value.dtype,
        blocksize=block,
        code=library.get_4bit_type(kind, device=value.device),
        quant_type=kind,
        offset=offset,
        state2=second,
    )
    done = {"quant_state": state, "bnb_quantized": True}
    found: Any = Params4bit(packed, requires_grad=False, **(kept | done))
    if found.module is not None:
        found.module.quant_state = state
    placed: nn.Parameter = found
    return placed
