"""A LoRA adapter from disk on top of an installed model: both together become a model of their own.

Knows the store and the audit log. In safetensors the adapter is added to the base's own weights, so that the new model
is checked, evaluated, quantized and activated as every other. In GGUF, where weights stay as they were quantized, it
lies beside them and llama.cpp adds it while it computes; the base's files are shared on the disk, not copied. Either
way the new model needs its base no more, and its manifest names both. Only workers and commands call `take_in`.
"""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assistant import engines, observability
from assistant.audit import services as audit
from assistant.errors import Invalid
from assistant.registry import jobs
from inference.errors import InferenceError, ModelCorrupt
from inference.store import ADAPTER_FILE, Adapter, Lora, Manifest, adapters
from inference.store.manifest import MANIFEST_NAME, sha256_of

if TYPE_CHECKING:
    from peft import PeftModel

_WRITTEN = frozenset({"config.json", "model.safetensors.index.json", "generation_config.json"})


def bases(lora: Lora) -> list[str]:
    """The installed models that an adapter of its kind may go on top of; whether it fits, `check` finds out."""
    return [manifest.name for manifest in engines.store().manifests() if not _why_not(manifest, lora)]


def check(adapter: Path, base: str) -> Manifest:
    """The installed model that the adapter goes on top of; heads are read, nothing is loaded. Raises Invalid, Conflict,
    ModelNotFound, ModelCorrupt."""
    store = engines.store()
    manifest = store.manifest(base)
    lora = adapters.find(adapter)
    if lora is not None and lora.kind == manifest.kind and (why := _why_not(manifest, lora)):
        raise Invalid(why, fields={"base": [why]})
    adapters.check(adapter, store.folder(base), manifest.kind)
    jobs.check_room(manifest.size if manifest.kind == "safetensors" else adapter.stat().st_size, "are needed")
    return manifest


def _why_not(manifest: Manifest, lora: Lora) -> str:
    if manifest.kind != lora.kind:
        return "The adapter is for models in another format."
    if manifest.kind == "gguf":
        if manifest.adapter:
            return "This model has an adapter already: choose the model without it."
        return "" if manifest.architecture == lora.architecture else "The adapter is for models of another kind."
    words = "An adapter goes on top of an unquantized model in safetensors; quantize what comes of it."
    return words if manifest.recipe else ""


def take_in(
    adapter: Path, name: str, *, base: str, licence: str, revision: str = "", told: jobs.Told = lambda *_: None
) -> Manifest:
    """Install `base` with the adapter in that folder or GGUF file as `name`, on record. What `told` raises ends it.
    Raises what `check` raises, FileExistsError, OutOfMemory, DiskFull."""
    store, actor = engines.store(), observability.current().actor
    store.check_free(name)
    original = store.manifest(base)
    try:
        check(adapter, base)
        store.verify(base, told)
        lora = adapters.check(adapter, store.folder(base), original.kind)
        facts = Adapter(
            adapter.name, lora.weights.stat().st_size, sha256_of(lora.weights), base=base, base_licence=original.licence
        )
        fill = _beside if original.kind == "gguf" else _joined
        manifest = store.derive(
            original,
            name,
            lambda into: fill(store.folder(base), adapter, facts, into, told),
            by=actor if actor.startswith("user:") else "command",
            source=f"{base} with {adapter.name}",
            licence=licence,
            revision=revision,
            adapter=facts,
            told=told,
        )
    except InferenceError:
        _record(name, "failed", parent=original.digest, licence=licence)
        raise
    detail = {"digest": manifest.digest, "size": manifest.size, "adapter": facts.sha256}
    _record(name, "success", parent=original.digest, licence=licence, **detail)
    return manifest


def _record(name: str, outcome: str, **facts: object) -> None:
    detail = {"change": "imported", **facts}
    audit.record(action="model.changed", outcome=outcome, target=("model", name), detail=detail)


def _beside(base: Path, adapter: Path, facts: Adapter, into: Path, told: jobs.Told) -> None:
    """The base's files, shared where the disk can, and the adapter."""
    for path in base.rglob("*"):
        if path.is_file() and path.name != MANIFEST_NAME:
            target = into / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:  # not on this file system, or not by this user
                shutil.copyfile(path, target)
    found = adapters.find(adapter)
    target = into / ADAPTER_FILE
    target.parent.mkdir()
    if found is not None:
        shutil.copyfile(found.weights, target, follow_symlinks=False)
    _unchanged(target, facts)
    told("joining", 1, 1)


def _joined(base: Path, adapter: Path, facts: Adapter, into: Path, told: jobs.Told) -> None:
    """Write the base with the adapter added to its weights, in 16 bits."""
    from inference import loading
    from inference.runs import models

    told("loading", 0, 1)
    own = into / "adapter"  # what is loaded is what was looked through, whatever happens in the drop folder
    own.mkdir()
    for name in (adapters.SETTINGS, adapters.WEIGHTS):
        shutil.copyfile(adapter / name, own / name, follow_symlinks=False)
    _unchanged(own / adapters.WEIGHTS, facts)
    loaded = loading.load(base, device="cpu", adapter=own)
    model = _merged(cast("PeftModel", loaded.model), facts.name, told)
    written = into / "written"
    models.save(model, loaded.tokenizer, written)
    for path in written.iterdir():
        if path.suffix == ".safetensors" or path.name in _WRITTEN:
            path.rename(into / path.name)
    shutil.rmtree(written)
    shutil.rmtree(own)
    for path in base.iterdir():  # tokenizer, template, licence: the base's own, byte for byte
        if path.suffix != ".safetensors" and path.name not in {*_WRITTEN, MANIFEST_NAME}:
            shutil.copyfile(path, into / path.name)


def _unchanged(copy: Path, facts: Adapter) -> None:
    if copy.is_symlink() or not copy.is_file() or sha256_of(copy) != facts.sha256:
        raise ModelCorrupt(
            f"{facts.name} changed while it was read",
            file=facts.name,
            hint="Import it again when nothing writes to it any more.",
        )


def _merged(model: PeftModel, name: str, told: jobs.Told) -> Any:
    """The base's model with the adapter in its weights; layer by layer, so that it can be followed and stopped."""
    from peft.tuners.lora import Linear

    layers = [module for module in model.modules() if isinstance(module, Linear)]
    try:
        for number, layer in enumerate(layers, 1):
            layer.merge(safe_merge=True)
            told("joining", number, len(layers))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All adapters are already merged")
            return model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # what comes of it is no number
        raise ModelCorrupt(f"{name} cannot be added to the weights: {error}", hint="Get a whole copy.") from error
