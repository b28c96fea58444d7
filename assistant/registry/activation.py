"""Choosing the model that answers: checked, audited, and picked up by the running workers within seconds.

Knows the store and the audit log. Loading is the workers' (`engines`), so this runs in any process. A model is chosen
on grounds: what was measured (`quality.gate` knows), or a reason for doing without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from assistant import engines, observability
from assistant.audit import services as audit
from assistant.errors import Conflict, Invalid
from assistant.models import JobKind, ModelActivation
from assistant.registry import jobs

if TYPE_CHECKING:
    from inference.store import Manifest

RECIPES = ("auto", "none", "nf4", "int8", "dynamic8")


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a model may answer: the golden run (its number) that measured it, or a person's reason. One of the two."""

    evaluation: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.evaluation and not self.reason:
            raise ValueError("a model is activated on an evaluation or with a reason")


def activate(name: str, *, quantization: str = "auto", grounds: Grounds) -> ModelActivation:
    """Choose an installed model after reading every one of its files again.

    A quantized model answers only when it passed its gate (`quantizing`), and as it is stored.

    Raises inference.errors.ModelNotFound, inference.errors.ModelCorrupt, inference.errors.QuantizationRefused,
    errors.Invalid (an unknown recipe).
    """
    check_recipe(quantization)
    manifest = engines.store().verify(name)
    if manifest.kind == "gguf" and quantization != "auto":
        raise Invalid(f"{name} is a GGUF file and runs as it was quantized; the quantization must be auto.")
    manifest.check_offered(quantization)
    return _choose(engine_of(manifest), name=name, digest=manifest.digest, quantization=quantization, grounds=grounds)


def remove(name: str) -> Manifest:
    """Take an installed model off the disk, on record. Raises inference.errors.ModelNotFound, errors.Conflict."""
    manifest = engines.store().manifest(name)
    if active_name() == name:
        raise Conflict("This model answers now. Let another one answer, or go back to quotations, and then remove it.")
    uses = Q(name=name) & ~Q(kind=JobKind.IMPORT) | Q(options__base=name)
    if jobs.open_jobs().filter(uses).exists():
        raise Conflict("Work on this model goes on. Remove it when that has ended.")
    try:
        engines.store().remove(name)
    except OSError as error:
        raise Conflict("Its files could not be removed: this process may not write where the models lie.") from error
    audit.record(
        action="model.changed",
        target=("model", name),
        detail={"change": "removed", "digest": manifest.digest, "size": manifest.size, "licence": manifest.licence},
    )
    return manifest


def check_recipe(quantization: str) -> None:
    """Raises errors.Invalid."""
    if quantization not in RECIPES:
        raise Invalid(f"The quantization must be one of {', '.join(RECIPES)}.")


def engine_of(manifest: Manifest) -> str:
    return "gguf" if manifest.kind == "gguf" else "transformers"


def deactivate() -> ModelActivation:
    """Back to quotations."""
    return _choose("extractive")


def current() -> ModelActivation | None:
    """The newest choice; None while the settings decide."""
    return ModelActivation.objects.order_by("-pk").first()


def active_name() -> str:
    """The model that was chosen, by a row or by the settings; empty for quotations."""
    if row := current():
        return row.name
    return "" if settings.ENGINE == "extractive" else settings.MODEL


def _choose(
    engine: str, *, name: str = "", digest: str = "", quantization: str = "", grounds: Grounds | None = None
) -> ModelActivation:
    detail = {"change": "activated", "engine": engine, "digest": digest, "quantization": quantization}
    with transaction.atomic():
        row = ModelActivation.objects.create(
            engine=engine, name=name, digest=digest, quantization=quantization, by=observability.current().actor
        )
        audit.record(
            action="model.changed",
            target=("model", name or engine),
            detail={**detail, "evaluation": grounds.evaluation if grounds else 0},
            content={"reason": grounds.reason} if grounds and grounds.reason else None,
        )
    return row
