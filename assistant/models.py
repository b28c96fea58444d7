"""Which language model answers: one row per choice, the newest counts. Settings speak only while there is no row.

Knows what was chosen, by whom, and what came of it. Written by `activation`, read by `engines` and the models page.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class ActivationState(models.TextChoices):
    CHOSEN = "chosen"  # no worker has loaded it yet
    ACTIVE = "active"
    FAILED = "failed"  # answers are quotations; `problem` says why


class ModelActivation(models.Model):
    """A choice. `name` is empty for quotations (engine “extractive”); `digest` is the manifest's at that moment."""

    engine = models.CharField(max_length=20)
    name = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    quantization = models.CharField(max_length=20, blank=True)
    by = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=10, choices=ActivationState, default=ActivationState.CHOSEN)
    problem = models.TextField(blank=True)
    loaded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        get_latest_by: ClassVar[str] = "pk"

    def __str__(self) -> str:
        return f"{self.engine} {self.name} {self.quantization}".strip()
