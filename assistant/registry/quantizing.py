"""Making a quantized model of an installed one: written, measured against the original, installed when it passes.

Knows the store, the audit log and the jobs that the models page starts; the work itself is `inference.quantizing`'s and
`inference.nearness`'s. Only workers and commands call `quantize`; the models page calls `begin`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings

from assistant import engines, observability
from assistant.audit import services as audit
from assistant.errors import Invalid
from assistant.models import JobKind, ModelJob
from assistant.registry import jobs
from assistant.registry.jobs import Told
from inference.errors import QuantizationRefused
from inference.store import Gate, Limits, Manifest

if TYPE_CHECKING:
    from inference.quantization import Quantization

RECIPES = ("nf4", "int8", "dynamic8")
_TEXTS = ("handbook/employee-handbook.md", "handbook/employee-manual-suzhou.md")


def limits() -> Limits:
    """What the settings allow."""
    return Limits(settings.MAX_PERPLEXITY_LOSS, settings.MIN_AGREEMENT)


def quantize(
    *,
    name: str,
    recipe: str,
    target: str = "",
    text: Path | None = None,
    allowed: Limits | None = None,
    force: bool = False,
    told: Told = lambda stage, done, total: None,
) -> Manifest:
    """Install a quantized copy of a model, called `target` (else NAME-RECIPE), when it passes its gate.

    `text` is what both are measured on: a file in UTF-8, else pages of the demo company in two languages. A refusal is
    recorded, and so is what `force` let pass. Raises Invalid, FileExistsError, QuantizationRefused, OutOfMemory,
    ModelNotFound, ModelCorrupt.
    """
    target = target or f"{name}-{recipe}"
    _source(name, recipe)
    store = engines.store()
    store.check_free(target)
    manifest = store.verify(name)
    folder = store.folder(name)
    measured_on = words(text)

    def make(into: Path) -> Gate:
        from inference import loading, nearness, quantizing

        device = _device(folder, recipe)
        quantizing.quantize(
            folder,
            into,
            cast("Quantization", recipe),
            device=device,
            told=partial(told, "writing"),
        )
        loaded = loading.load(into, device=device)
        found = nearness.measure(
            folder, loaded, measured_on[1], told=lambda done, total: told("measuring", done, total)
        )
        gate = Gate(
            **asdict(found),
            text=measured_on[0],
            text_sha256=hashlib.sha256(measured_on[1].encode()).hexdigest(),
            **asdict(allowed or limits()),
        )
        return _judged(target, manifest, gate, recipe, force)

    made = store.derive(manifest, target, make, by=observability.current().actor)
    assert made.gate is not None
    audit.record(
        action="model.changed",
        target=("model", target),
        detail={**_detail(manifest, recipe, made.gate), "digest": made.digest, "size": made.size},
    )
    return made


def _source(name: str, recipe: str) -> Manifest:
    if recipe not in RECIPES:
        raise Invalid("The recipe must be nf4, int8 or dynamic8.")
    manifest = engines.store().manifest(name)
    if manifest.kind != "safetensors" or manifest.recipe:
        raise QuantizationRefused(
            f"{name} is quantized already ({manifest.recipe or manifest.kind}).",
            hint="Quantize the unquantized model, in safetensors.",
        )
    jobs.check_room(manifest.size, "may be needed")
    return manifest


def words(path: Path | None) -> tuple[str, str]:
    """(name, text) to measure on."""
    if path is None:
        content = settings.BASE_DIR / "assistant" / "demo" / "content"
        return "demo company", "\n\n".join((content / each).read_text(encoding="utf-8") for each in _TEXTS)
    try:
        return path.name, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read as UTF-8 text: {error}.") from error


def _device(folder: Path, recipe: str) -> str:
    """Where the quantized model is measured: the GPU when there is one with room beside what runs there."""
    from inference import loading

    device = loading.default_device()
    roomy = loading.needed_bytes(folder, cast("Quantization", recipe)) <= loading.free_bytes(device)
    return device if roomy and recipe != "dynamic8" else "cpu"


def _judged(target: str, manifest: Manifest, gate: Gate, recipe: str, force: bool) -> Gate:
    """The gate, forced if it has to be and may be. Raises QuantizationRefused, on record."""
    if force and not gate.passed:
        return Gate(**{**asdict(gate), "forced": True})
    try:
        gate.check(target)
    except QuantizationRefused:
        audit.record(
            action="model.changed", outcome="refused", target=("model", target), detail=_detail(manifest, recipe, gate)
        )
        raise
    return gate


def _detail(parent: Manifest, recipe: str, gate: Gate) -> dict[str, object]:
    return {
        "change": "quantized",
        "parent": parent.digest,
        "licence": parent.licence,
        "recipe": recipe,
        "loss": round(gate.loss, 5),
        **asdict(gate),
    }


def begin(*, name: str, recipe: str, allowed: Limits, force: bool = False) -> ModelJob:
    """A job for a worker. Raises Invalid, Conflict, FileExistsError, QuantizationRefused, ModelNotFound."""
    _source(name, recipe)
    target = f"{name}-{recipe}"
    engines.store().check_free(target)
    return jobs.start(
        JobKind.QUANTIZE,
        target=target,
        name=name,
        recipe=recipe,
        max_loss=allowed.max_loss,
        min_agreement=allowed.min_agreement,
        force=force,
    )


def work(job: ModelJob, told: Told) -> dict[str, Any]:
    """Do such a job. Raises what `quantize` raises."""
    made = quantize(
        name=job.name,
        recipe=job.recipe,
        target=job.target,
        allowed=Limits(job.max_loss or 0.0, job.min_agreement or 0.0),
        force=job.force,
        told=told,
    )
    return {"digest": made.digest}
