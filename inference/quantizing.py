"""A model folder written anew with quantized weights, one weight at a time, so that memory holds one of them.

The result is a folder as transformers and bitsandbytes write it (nf4, int8), or with integers and scales of our own
(dynamic8); config.json names the recipe, and `loading.load` reads it. Knows recipes and files. Whether the result is
good enough is `inference.gate`'s to say; where it is installed is the store's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference import quantization
from inference.errors import ModelCorrupt, QuantizationRefused
from inference.quantization import Quantization
from inference.store.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    import torch

Told = Callable[[int, int], None]  # weights done, weights there are


def quantize(
    folder: Path, into: Path, recipe: Quantization, *, device: str = "cpu", told: Told = lambda done, total: None
) -> None:
    """Write the model of `folder` to the empty folder `into`. `told` may raise to stop.

    Raises QuantizationRefused (nothing to do, quantized already, not for this family), ModelCorrupt.
    """
    quantization.check(recipe)
    if recipe == "none":
        raise QuantizationRefused("none is no quantization.", hint="Choose nf4, int8 or dynamic8.")
    if before := quantization.stored(folder):
        raise QuantizationRefused(
            f"{folder.name} is quantized already ({before}).", hint="Quantize the model it was made from."
        )
    from safetensors import SafetensorError

    from inference import layerwise
    from inference.weights import Shards

    for path in folder.iterdir():
        if path.is_file() and not path.name.endswith((".safetensors", ".safetensors.index.json", MANIFEST_NAME)):
            shutil.copyfile(path, into / path.name)
    try:
        if layerwise.suits(folder):
            with Shards(into) as shards:
                for piece in (_integers if recipe == "dynamic8" else _packed)(folder, recipe, device, told):
                    shards.add(piece)
            _configure(into, recipe)
        else:
            _by_the_library(folder, into, recipe, device)
    except (SafetensorError, json.JSONDecodeError, KeyError, OSError) as error:
        raise ModelCorrupt(f"{folder.name} cannot be quantized: {error}", hint="Verify the model.") from error


def _packed(folder: Path, recipe: Quantization, device: str, told: Told) -> Iterator[dict[str, torch.Tensor]]:
    """nf4 and int8: each weight as bitsandbytes stores it."""
    from torch import nn

    from inference import layerwise
    from inference.memory import give_back
    from inference.weights import Weights

    weights = Weights(folder)
    model = layerwise.empty(folder, recipe, weights)
    names = [name for name, _ in model.named_parameters()]  # a tied head is not named twice
    for done, name in enumerate(names, start=1):
        path, _, last = name.rpartition(".")
        old = model.get_parameter(name)
        owner: nn.Module = layerwise.place(model, name, weights[name], device)
        found: dict[str, Any] = owner.state_dict(prefix=f"{path}.")
        yield {key: value for key, value in found.items() if not value.is_meta}
        setattr(owner, last, old)
        if getattr(owner, "quant_state", None) is not None:
            setattr(owner, "quant_state", None)  # noqa: B010 - a module's attributes have no types
        give_back()
        told(done, len(names))


def _integers(folder: Path, recipe: Quantization, device: str, told: Told) -> Iterator[dict[str, torch.Tensor]]:
    """dynamic8: integers and scales of the linear layers and of the head; the rest in 16 bits."""
    import torch
    from torch import nn

    from inference import dynamic
    from inference.memory import give_back
    from inference.weights import Weights

    weights = Weights(folder)
    model: Any = dynamic.empty(folder)
    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    table, head = "model.embed_tokens.weight", "lm_head.weight"
    names = sorted({*weights, head})
    for done, name in enumerate(names, start=1):
        if name in linear:
            whole, scales = dynamic.integers(weights.rows(name if name in weights else table))
            yield {name: whole, f"{name.removesuffix('weight')}{dynamic.SCALES}": scales}
        else:
            yield {name: weights[name].to(torch.bfloat16)}
        give_back()
        told(done, len(names))


def _configure(folder: Path, recipe: Quantization) -> None:
    path = folder / "config.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    body["quantization_config"] = quantization.stored_settings(recipe)
    path.write_text(json.dumps(body, indent=2, ensure_ascii=False), encoding="utf-8")


def _by_the_library(folder: Path, into: Path, recipe: Quantization, device: str) -> None:
    """Other families: the whole model is in memory once."""
    if recipe == "dynamic8":
        raise QuantizationRefused("dynamic8 is not offered for models of this kind.", hint="Choose nf4 or int8.")
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16,
        device_map={"": device},
        quantization_config=quantization.configuration(recipe),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    model.save_pretrained(into)
