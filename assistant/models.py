"""Which language model answers: one row per choice, the newest counts. Settings speak only while there is no row.

Knows what was chosen, by whom, and what came of it. Written by `activation`, read by `engines` and the models page.
And the long work on models that a page asked for: a row each, written by `jobs`.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from assistant.leases import Leased


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


class JobState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # it did not pass its gate
    FAILED = "failed"
    CANCELLED = "cancelled"  # a person stopped it


LIVE = (JobState.QUEUED, JobState.RUNNING)


class JobKind(models.TextChoices):
    QUANTIZE = "quantize"
    IMPORT = "import"
    EVALUATE = "evaluate"
    BENCHMARK = "benchmark"


class ModelJob(Leased):
    """Work on the model `target`, of one kind.

    Quantize: from the model `name` by `recipe`, within the limits. Import: from `name` in the drop folder. Evaluate
    and benchmark: `name` is `target`; `options` are a benchmark's settings. `progress` is in per cent of `stage` (of
    quantizing, say: writing, measuring); `result` is what the kind's `work` returns.
    """

    kind = models.CharField(max_length=10, choices=JobKind, default=JobKind.QUANTIZE)
    name = models.CharField(max_length=255)
    recipe = models.CharField(max_length=20, blank=True)
    target = models.CharField(max_length=121)
    max_loss = models.FloatField(null=True, blank=True)
    min_agreement = models.FloatField(null=True, blank=True)
    force = models.BooleanField(default=False)
    licence = models.CharField(max_length=100, blank=True)
    revision = models.CharField(max_length=100, blank=True)
    options = models.JSONField(default=dict, blank=True)
    result = models.JSONField(default=dict, blank=True)
    by = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=10, choices=JobState, default=JobState.QUEUED)
    stage = models.CharField(max_length=20, blank=True)
    progress = models.PositiveSmallIntegerField(default=0)
    problem = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "target"], condition=models.Q(state__in=LIVE), name="one_live_job_of_a_kind_and_target"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {self.state}"
