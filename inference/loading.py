"""From a folder on disk to a model in memory, quantized on the way, fit to the hardware.

Knows transformers' loading code and memory. Does not know the store's manifest (the caller verified the files) or
what the model is asked. Weights are read from safetensors only and no code from the folder is ever run.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from inference import quantization, spreading
from inference.errors import ModelCorrupt, ModelNotFound, OutOfMemory, QuantizationRefused
from inference.quantization import Quantization

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from inference.dynamic import Quality

# what bitsandbytes and `dynamic` store beside a quantized weight
_BESIDE = re.compile(r"\.weight\.|\.SCB$|\.weight_format$|\.weight_scale$")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A causal language model ready to run. `context` is the longest sequence in tokens."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    quantization: Quantization
    device: str
    context: int
    quality: Quality | None = None  # measured while loading, where the recipe has a gate

    @property
    def spread(self) -> bool:
        """Whether the layers lie on several devices; `device` is the first's."""
        return len({*spreading.layer_devices(self.model)}) > 1

    @property
    def bytes(self) -> int:
        """Memory of weights and buffers."""
        packed = sum(int(getattr(module, "nbytes", 0)) for module in self.model.modules())
        return int(self.model.get_memory_footprint()) + packed


def default_device() -> str:
    """The first CUDA device when there is one, else the processor."""
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def free_bytes(device: str) -> int:
    """Memory a new model may take on the device."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return int(psutil.virtual_memory().available)


def weight_counts(folder: Path) -> tuple[int, int]:
    """(all parameters, those of embeddings and the output head), from the files' headers; nothing is loaded. Of weights
    that are stored quantized the parameters count, not what they are packed in."""
    from inference.weights import headers

    found = headers(folder)
    total = embedding = 0
    for key, (kind, shape) in found.items():
        if _BESIDE.search(key):
            continue
        count = prod(shape) * (2 if kind == "U8" and f"{key}.absmax" in found else 1)
        total += count
        if "embed" in key or "lm_head" in key:
            embedding += count
    if not total:
        raise ModelNotFound(f"{folder.name} holds no safetensors weights.")
    return total, embedding


def needed_bytes(folder: Path, quantize: Quantization) -> int:
    """Memory that loading takes at its worst, by a recipe or, where they are, as the weights are stored quantized."""
    from inference.weights import headers, tensor_bytes

    if quantization.stored(folder):
        return int(tensor_bytes(headers(folder)) * quantization.HEADROOM)
    return int(quantization.expected_bytes(*weight_counts(folder), quantize) * quantization.HEADROOM)


def load(
    folder: Path, *, quantize: Quantization = "none", device: str | None = None, adapter: Path | None = None
) -> LoadedModel:
    """Load a safetensors model folder (with a LoRA adapter on top, if given). Weights that are stored quantized are
    loaded as they are; `quantize` may name their recipe, or none. Without a `device`, a model that no card of several
    holds is laid over all of them.

    Raises ModelNotFound, ModelCorrupt, OutOfMemory (before loading, when it cannot fit; or during),
    QuantizationRefused, ValueError.
    """
    wanted, device = device, device or default_device()
    quantization.check(quantize)
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder} holds no config.json.", hint="Name a model folder.")
    if (stored := quantization.stored(folder)) is not None:
        if quantize not in {"none", stored}:
            raise QuantizationRefused(
                f"{folder.name} is stored as {stored} and cannot become {quantize}.",
                hint="Quantize the model it was made from.",
            )
        quantize = stored
    if quantize == "dynamic8" and device != "cpu":
        raise QuantizationRefused("dynamic8 runs on the processor only.", hint="Choose none or nf4 on a GPU.")
    if quantize == "int8":  # bitsandbytes says at every product that it converts its input
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    needed = needed_bytes(folder, quantize)
    room: dict[int, int] | None = None
    if wanted is None and device.startswith("cuda"):
        free_cards = spreading.cards()
        room = spreading.room(needed, free_cards)
        if not room and needed > free_cards[0]:
            device = spreading.roomiest(free_cards)
    free = sum(room.values()) if room else free_bytes(device)
    if needed > free:
        raise OutOfMemory(
            f"{folder.name} needs about {needed / 2**30:.1f} GiB as {quantize}; "
            f"{free / 2**30:.1f} GiB are free on {device}.",
            hint="Choose nf4, a smaller model, or a machine with more memory.",
        )
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from inference import layerwise

    options: dict[str, Any] = {
        "dtype": quantization.sixteen_bits(device),
        "device_map": "balanced" if room else {"": device},
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
        "low_cpu_mem_usage": True,
    }
    if room:
        options["max_memory"] = room
    if not stored and (settings := quantization.configuration(quantize, device)) is not None:
        options["quantization_config"] = settings
    quality: Quality | None = None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model: PreTrainedModel
        if stored == "dynamic8":
            from inference import dynamic

            model = dynamic.load_stored(folder)
        elif quantize == "dynamic8":
            from inference import dynamic

            model, quality = dynamic.load(folder, tokenizer)
        elif quantize in {"nf4", "int8"} and not room and layerwise.suits(folder):
            model = layerwise.load(folder, quantize, device)
        else:
            model = AutoModelForCausalLM.from_pretrained(folder, **options)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"{folder.name} does not fit on {device}.", hint="Choose nf4 or a smaller model.") from error
    except (SafetensorError, json.JSONDecodeError, KeyError, ValueError, OSError) as error:
        raise ModelCorrupt(
            f"{folder.name} cannot be loaded: {error}", hint="Verify the model, or import it again."
        ) from error
    if adapter is not None:
        model = _with_adapter(model, adapter)
    model.eval()
    if room:
        device = str(next(model.parameters()).device)
    context = int(getattr(model.config, "max_position_embeddings", 0) or 4096)
    return LoadedModel(model, tokenizer, folder.name, quantize, device, context, quality)


def _with_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """A LoRA adapter from disk on top of the base (safetensors only). Raises ModelNotFound, ModelCorrupt."""
    if not (adapter / "adapter_model.safetensors").is_file():
        raise ModelNotFound(f"{adapter} holds no adapter_model.safetensors.")
    from peft import PeftModel
    from safetensors import SafetensorError

    hint = "Take the adapter that was trained on this model."
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*missing adapter keys.*")
            # peft asks transformers for checkpointing by its former name
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
            adapted: Any = PeftModel.from_pretrained(model, str(adapter), is_trainable=False, use_safetensors=True)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, UserWarning) as error:
        words = str(error).strip().split("\n")[-1].strip()[:300]
        raise ModelCorrupt(f"{adapter.name} does not go on top of this model: {words}", hint=hint) from error
    found: PreTrainedModel = adapted
    return found
