"""The golden set, its runs, and question files made from documents. Knows rows; does not know how answers are judged.

A run keeps numbers only: what was answered in somebody's rights is judged and forgotten.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from assistant.leases import Leased
from assistant.vault.fields import SealedJSON, SealedText
from assistant.vault.ring import Ref


class GoldenSet(models.Model):
    """One version of the golden questions; the newest counts, and only its text is kept."""

    text = SealedText(sealed_by="keys")  # JSON lines, see chat.evaluation
    digest = models.CharField(max_length=64)  # sha256 of the text
    questions = models.PositiveIntegerField()
    by = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        get_latest_by: ClassVar[str] = "pk"

    def __str__(self) -> str:
        return f"{self.questions} questions, {self.digest[:12]}"

    def keys(self) -> list[Ref]:
        return [Ref("golden", "questions", root=("golden", "set"))]


class RunStatus(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class Why(models.TextChoices):
    HAND = "hand", _("by hand")
    SCHEDULE = "schedule", _("by schedule")
    ACTIVATION = "activation", _("before an activation")


class GoldenRun(Leased):
    """One time of asking everything. `marks` are numbers in the order of the set's questions (`marks.Mark`).

    A run of a model that does not answer yet (`why` activation) never raises the alarm.
    """

    questions = models.ForeignKey(GoldenSet, on_delete=models.CASCADE, related_name="runs")
    why = models.CharField(max_length=12, choices=Why.choices)
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    engine = models.CharField(max_length=20, blank=True)
    model = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, blank=True)  # of the model's manifest
    recipe = models.CharField(max_length=20, blank=True)
    code = models.CharField(max_length=64, blank=True)
    marks = models.JSONField(default=list)
    summary = models.JSONField(default=dict)
    drift = models.JSONField(default=list)  # changes against the reference (`drift.Change`)
    alarm = models.BooleanField(default=False)
    reference = models.BooleanField(default=False)  # what later runs of this set are held against
    error = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [models.Index(fields=["status", "lease_until"]), models.Index(fields=["digest", "recipe"])]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.status}"


class Every(models.TextChoices):
    NEVER = "never", _("only by hand")
    DAY = "day", _("every day")
    WEEK = "week", _("every week")


class Policy(models.Model):
    """The administrator's choices: one row. Conversations are used for question files only while that is on."""

    every = models.CharField(max_length=8, choices=Every.choices, default=Every.WEEK)
    conversations = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.every}, conversations {self.conversations}"


class QuestionFile(models.Model):
    """Questions made from one collection's documents, or from conversations (`collection` empty)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey("documents.Collection", null=True, on_delete=models.CASCADE, related_name="+")
    seed = models.PositiveIntegerField(default=1)
    by = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-at"]

    def __str__(self) -> str:
        return str(self.id)


class Split(models.TextChoices):
    TRAIN = "train", _("to learn from")
    TEST = "test", _("to judge by")


class QuestionItem(models.Model):
    """One question with its answer and where it stands: sealed under the document's key, gone with the document."""

    file = models.ForeignKey(QuestionFile, on_delete=models.CASCADE, related_name="items")
    document = models.ForeignKey("documents.Document", on_delete=models.CASCADE, related_name="+")
    answer = models.ForeignKey("chat.Answer", null=True, on_delete=models.CASCADE, related_name="+")
    split = models.CharField(max_length=6, choices=Split.choices)
    content = SealedJSON(sealed_by="keys", default=dict)  # {"question", "answer", "passage", "page", "kind"}

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.file_id} #{self.pk}"

    def keys(self) -> list[Ref]:
        """The document's; of a conversation's question its answer's too, which names every document it rests on."""
        return self.answer.keys_of_text() if self.answer else [Ref("document", str(self.document_id))]
