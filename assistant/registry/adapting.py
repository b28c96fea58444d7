"""A LoRA adapter from disk on top of an installed model: both together become a model of their own.

Knows the store and the audit log. The adapter is added to the base's own weights, so that the new model is checked,
evaluated, quantized and activated as every other, and its manifest names the base by digest. Only commands call this.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from assistant import engines, observability
from assistant.audit import services as audit
from assistant.errors import Invalid
from assistant.registry import jobs
from inference.errors import InferenceError, ModelCorrupt
from inference.store import Manifest, selected
from inference.store.manifest import MANIFEST_NAME, sha256_of

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"
_WRITTEN = frozenset({"config.json", "model.safetensors.index.json", "generation_config.json"})


def take_in(adapter: Path, name: str, *, base: str, licence: str) -> Manifest:
    """Install `base` with the adapter in that folder as `name`. Raises Invalid, Conflict, FileExistsError,
    ModelNotFound, ModelCorrupt (not an adapter, or one of another model), OutOfMemory."""
    store = engines.store()
    store.check_free(name)
    original = store.verify(base)
    if original.kind != "safetensors" or original.recipe:
        raise Invalid("An adapter goes on top of an unquantized model in safetensors; quantize what comes of it.")
    try:
        digest = _checked(adapter)
        jobs.check_room(original.size, "are needed")
        manifest = store.derive(
            original,
            name,
            lambda into: _joined(store.folder(base), adapter, into),
            by=observability.current().actor,
            source=f"{base} with {adapter.name}",
            licence=licence,
        )
    except InferenceError:
        _record(name, "failed", parent=original.digest, licence=licence)
        raise
    facts = {"digest": manifest.digest, "size": manifest.size, "adapter": digest}
    _record(name, "success", parent=original.digest, licence=licence, **facts)
    return manifest


def _record(name: str, outcome: str, **facts: object) -> None:
    detail = {"change": "imported", **facts}
    audit.record(action="model.changed", outcome=outcome, target=("model", name), detail=detail)


def _checked(adapter: Path) -> str:
    """The digest of the adapter's weights. Raises ModelNotFound, ModelCorrupt."""
    selected(adapter)  # refuses links, pickles and code by name
    for needed in (SETTINGS, WEIGHTS):
        if not (adapter / needed).is_file():
            hint = f"An adapter is a folder with {SETTINGS} and {WEIGHTS}, as peft writes it."
            raise ModelCorrupt(f"{adapter.name} holds no {needed}.", file=needed, hint=hint)
    try:
        kind = json.loads((adapter / SETTINGS).read_text(encoding="utf-8")).get("peft_type")
    except (ValueError, AttributeError) as error:
        raise ModelCorrupt(f"{SETTINGS} cannot be read: {error}", file=SETTINGS) from error
    if kind != "LORA":
        raise ModelCorrupt(f"{SETTINGS} is of the kind {kind!r}.", file=SETTINGS, hint="Only LoRA adapters are taken.")
    return sha256_of(adapter / WEIGHTS)


def _joined(base: Path, adapter: Path, into: Path) -> None:
    """Write the base with the adapter added to its weights, in 16 bits."""
    from inference import loading
    from inference.runs import models

    loaded = loading.load(base, device="cpu", adapter=adapter)
    model: Any = loaded.model
    written = into / "written"
    models.save(model.merge_and_unload(), loaded.tokenizer, written)
    for path in written.iterdir():
        if path.suffix == ".safetensors" or path.name in _WRITTEN:
            path.rename(into / path.name)
    shutil.rmtree(written)
    for path in base.iterdir():  # tokenizer, template, licence: the base's own, byte for byte
        if path.suffix != ".safetensors" and path.name not in {*_WRITTEN, MANIFEST_NAME}:
            shutil.copyfile(path, into / path.name)
