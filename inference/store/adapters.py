"""A LoRA adapter (Hu et al. 2022, https://arxiv.org/abs/2106.09685) on disk: what it is, and whether it fits a model.

Two forms: a folder as peft writes it, for models in safetensors, and a GGUF file as llama.cpp's convert_lora_to_gguf.py
writes it, for GGUF models. Reads heads only: what does not fit is refused before anything is copied or loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import ModelCorrupt, ModelNotFound

from . import gguf
from .manifest import Kind
from .store import gguf_weights, selected

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_HINT = "Take the adapter that was trained on this model."
_FORMS = f"An adapter is a folder with {SETTINGS} and {WEIGHTS}, as peft writes it, or a GGUF file."
_PART = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])(?:\.[^.]+)?\.weight")
_SETTINGS_BYTES = 2**20
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lora:
    """What lies there. `trained_on` is what it says of its model: a name or a path, or nothing."""

    kind: Kind
    weights: Path
    trained_on: str = ""
    architecture: str = ""  # of GGUF only


def find(path: Path) -> Lora | None:
    """The adapter in that folder or GGUF file; None when there is a model, or nothing. Raises ModelCorrupt (it is one,
    and what it says of itself cannot be read)."""
    if path.is_dir():
        present = [name for name in (SETTINGS, WEIGHTS) if (path / name).is_file()]
        if present and not (path / "config.json").is_file():  # a whole model may have such a file too
            if len(present) == 1:
                (missing,) = {SETTINGS, WEIGHTS} - {*present}
                raise _wrong(missing, f"{path.name} holds no {missing}.", _FORMS)
            known = _settings(path).get("base_model_name_or_path")
            return Lora("safetensors", path / WEIGHTS, known if isinstance(known, str) else "")
        files = list(path.glob("*.gguf"))
        if len(files) != 1:
            return None
        path = files[0]
    if path.suffix.lower() == ".gguf" and path.is_file() and not path.is_symlink() and gguf.holds_adapter(path):
        return Lora("gguf", path, architecture=gguf.read_adapter(path)[0])
    return None


def check(path: Path, base: Path, kind: Kind) -> Lora:
    """The adapter at `path`, which goes on top of the model in the folder `base`. Raises ModelNotFound (there is no
    adapter, or no weights), ModelCorrupt (it is broken, or belongs to another model)."""
    lora = find(path)
    if lora is None:
        raise ModelNotFound(f"{path.name} is no LoRA adapter.", hint=_FORMS)
    if path.is_dir():
        selected(path)  # refuses links, pickles and code by name
    if lora.kind != kind:
        raise _wrong(
            lora.weights.name,
            f"{path.name} is an adapter for {lora.kind} models; {base.name} is a {kind} model.",
            "llama.cpp's convert_lora_to_gguf.py makes the one of the other."
            if kind == "gguf"
            else "Choose a GGUF model, or the adapter as peft wrote it.",
        )
    if kind == "gguf":
        check_gguf(lora.weights, base)
    else:
        _check_peft(path, base)
    return lora


def check_gguf(path: Path, base: Path) -> None:
    """Whether a GGUF file is a LoRA adapter for the GGUF model in `base`, as llama.cpp will ask again. Raises
    ModelNotFound, ModelCorrupt."""
    if path.is_dir() or path.suffix.lower() == ".safetensors":
        hint = "Convert it (llama.cpp's convert_lora_to_gguf.py), or merge it into the model and convert that."
        raise _wrong(
            path.name, f"{path.name} is an adapter for safetensors models; llama.cpp takes adapters as GGUF.", hint
        )
    if not path.is_file():
        raise ModelNotFound(f"There is no adapter at {path}.", hint="Name a GGUF file.")
    architecture, found = gguf.read_adapter(path)
    parts = gguf_weights(base)
    if architecture != (wanted := gguf.read_header(parts[0]).architecture):
        words = f"{path.name} belongs to a model of the kind {architecture or 'unknown'}, not {wanted}."
        raise _wrong(path.name, words)
    there = {name: shape for part in parts for name, shape in gguf.shapes(part).items()}
    shapes = {name: shape if len(shape) > 1 else (*shape, 1) for name, shape in found.items()}
    for name, (down, up) in _pairs(path.name, shapes, _of_gguf).items():
        # fastest dimension first: down is (in, rank), up is (rank, out), the weight (in, out)
        if name == "token_embd.weight":  # its parts are kept the other way round (llama-adapter.cpp)
            down, up = up[::-1], down
        _fit(path.name, name, up[1::-1], down[1::-1], there.get(name), swapped=False)


def _check_peft(folder: Path, base: Path) -> None:
    body = _settings(folder)
    if (kind := body.get("peft_type")) != "LORA":
        raise _wrong(SETTINGS, f"{SETTINGS} is of the kind {kind!r}.", "Only LoRA adapters are taken.")
    rank = body.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise _wrong(SETTINGS, f"{SETTINGS} says r = {rank!r}, which is no rank.", "Get a whole copy.")
    there: dict[str, Shape] = {}
    for path in base.glob("*.safetensors"):
        there.update(_shapes(path))
    pairs = _pairs(WEIGHTS, _shapes(folder / WEIGHTS), _of_peft)
    known = [module for module in pairs if f"{module}.weight" in there]
    for module, (down, up) in pairs.items():
        if len(down) != 2 or len(up) != 2 or not known:  # peft says what is wrong with those
            continue
        if not body.get("rank_pattern") and down[0] != rank:
            raise _wrong(WEIGHTS, f"{module} has the rank {down[0]} in {WEIGHTS}, {SETTINGS} says {rank}.")
        _fit(folder.name, module, up, down, there.get(f"{module}.weight"), swapped=True)


def _fit(adapter: str, name: str, up: Shape, down: Shape, there: Shape | None, *, swapped: bool) -> None:
    """`up` is (out, rank), `down` (rank, in). `swapped`: the model's matrix may lie the other way round."""
    wrong = f"{adapter} does not go on top of this model"
    if up[1] != down[0]:
        raise _wrong(adapter, f"{wrong}: its two parts for {name} are of the ranks {up[1]} and {down[0]}.")
    if there is None:
        raise _wrong(adapter, f"{wrong}: it changes {name}, which the model does not have.")
    shape = (up[0], down[1])
    model = there if swapped else there[::-1]
    if shape != model and not (swapped and shape == model[::-1]):
        words = f"for {name} it has {shape[0]} × {shape[1]} numbers, the model {' × '.join(map(str, model))}."
        raise _wrong(adapter, f"{wrong}: {words}")


def _pairs(
    file: str, shapes: dict[str, Shape], read: Callable[[str], tuple[str, str] | None]
) -> dict[str, tuple[Shape, Shape]]:
    """(down, up) of each matrix that is changed. Raises ModelCorrupt: one without the other, or none at all."""
    found: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        if part := read(name):
            found.setdefault(part[0], {})[part[1]] = shape
    for name, parts in found.items():
        if set(parts) != {"A", "B"}:
            raise _wrong(file, f"{file} holds one of the two parts for {name} only.", "Get a whole copy.")
        if any(len(shape) < 2 for shape in parts.values()):
            raise _wrong(file, f"{file} holds no matrix for {name}.", "Get a whole copy.")
    if not found:
        raise _wrong(file, f"{file} holds no part of a LoRA adapter.", "Get a whole copy.")
    return {name: (parts["A"], parts["B"]) for name, parts in found.items()}


def _of_peft(name: str) -> tuple[str, str] | None:
    match = _PART.fullmatch(name)
    return (match["module"], match["part"]) if match else None


def _of_gguf(name: str) -> tuple[str, str] | None:
    stem, _, part = name.rpartition(".lora_")
    return (stem, part.upper()) if stem else None


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        if path.stat().st_size > _SETTINGS_BYTES:
            raise ValueError("it is too long")
        body = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(body, dict):
            raise ValueError("it holds no settings")
    except (OSError, ValueError) as error:
        raise _wrong(SETTINGS, f"{SETTINGS} cannot be read: {error}.", "Get a whole copy.") from error
    return body


def _shapes(path: Path) -> dict[str, Shape]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        words = f"{path.name} is not a whole safetensors file: {error}"
        raise _wrong(path.name, words, "Get a whole copy.") from error


def _wrong(file: str, words: str, hint: str = _HINT) -> ModelCorrupt:
    return ModelCorrupt(words, file=file, hint=hint)
