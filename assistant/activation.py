"""Choosing the model that answers: checked, audited, and picked up by the running workers within seconds.

Knows the store and the audit log. Loading is the workers' (`engines`), so this runs in any process.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from assistant import engines, observability
from assistant.audit import services as audit
from assistant.errors import Invalid
from assistant.models import ModelActivation

RECIPES = ("auto", "none", "nf4", "int8", "dynamic8")


def activate(name: str, *, quantization: str = "auto") -> ModelActivation:
    """Choose an installed model after reading every one of its files again.

    Raises inference.errors.ModelNotFound, inference.errors.ModelCorrupt, errors.Invalid (an unknown recipe).
    """
    if quantization not in RECIPES:
        raise Invalid(f"The quantization must be one of {', '.join(RECIPES)}.")
    manifest = engines.store().verify(name)
    engine = "gguf" if manifest.kind == "gguf" else "transformers"
    return _choose(engine, name=name, digest=manifest.digest, quantization=quantization)


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


def _choose(engine: str, *, name: str = "", digest: str = "", quantization: str = "") -> ModelActivation:
    with transaction.atomic():
        row = ModelActivation.objects.create(
            engine=engine, name=name, digest=digest, quantization=quantization, by=observability.current().actor
        )
        audit.record(
            action="model.changed",
            target=("model", name or engine),
            detail={"change": "activated", "engine": engine, "digest": digest, "quantization": quantization},
        )
    return row
