"""Conversations and answers. Knows: rows. A conversation is private to its owner, whatever the reader's role."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from assistant.leases import Leased
from assistant.vault.fields import SealedBytes, SealedJSON, SealedText
from assistant.vault.ring import Ref


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations")
    title = SealedText(sealed_by="keys", blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, blank=True)  # undo for a moment, then erased by the sweeper

    class Meta:
        ordering: ClassVar = ["-updated_at", "id"]

    def __str__(self) -> str:
        return self.title or str(self.id)

    def keys(self) -> list[Ref]:
        """The conversation's own key, made with its row and wrapped under its owner's."""
        return [Ref("conversation", str(self.pk), root=("person", str(self.owner_id)))]


class Outcome(models.TextChoices):
    ANSWERED = "answered", _("Answered")
    NOT_FOUND = "not_found", _("Not in the documents")
    REFUSED = "refused", _("Refused")
    CANCELLED = "cancelled", _("Stopped")
    FAILED = "failed", _("Failed")


class AnswerStatus(models.TextChoices):
    QUEUED = "queued", _("Queued")
    PROCESSING = "processing", _("Processing")
    DONE = "done", _("Done")


class Answer(Leased):
    """One question and what came of it. `outcome` is set exactly when `status` is done."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="answers")
    question = SealedText(sealed_by="keys")
    standalone_question = SealedText(sealed_by="keys", blank=True, default="")  # a follow-up rewritten to stand alone
    context = SealedJSON(sealed_by="keys", default=list)  # earlier turns that came with the question: [[role, text], …]
    collections = models.JSONField(default=list)  # slugs the person narrowed to; empty: all readable
    status = models.CharField(max_length=12, choices=AnswerStatus.choices, default=AnswerStatus.QUEUED)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    text = SealedText(sealed_by="keys_of_text", blank=True, default="")  # plain text with [n] markers
    sentences = SealedJSON(
        sealed_by="keys_of_text", default=list
    )  # [[text, [markers], verified, line breaks before], …] of `text`
    text_salt = SealedBytes(sealed_by="keys_of_text", default=b"")  # of the commitment in the record; goes with `text`
    rests_on = models.ManyToManyField(  # documents whose words may be in `text`: all must be readable to show it
        "documents.Document", related_name="answers", blank=True
    )
    thinking = SealedText(sealed_by="keys_of_text", blank=True, default="")
    reason = models.CharField(max_length=60, blank=True)  # code for refused, failed, not_found
    engine = models.CharField(max_length=40, blank=True)
    model = models.CharField(max_length=200, blank=True)
    evidence = models.JSONField(default=dict)  # what was searched: counts, collections, scores, index seq
    timings = models.JSONField(default=dict)  # milliseconds by stage
    cancel_requested = models.BooleanField(default=False)
    withheld_at = models.DateTimeField(null=True, blank=True)  # a quoted document was deleted: text erased
    idempotency_key = models.CharField(max_length=100, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)  # digest of the request an idempotency key stands for
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="answers")
    role = models.CharField(max_length=20, blank=True)  # of the owner when asking, for the record
    session = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    intent_seq = models.BigIntegerField(null=True)  # the audit event written before retrieval
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], condition=~Q(idempotency_key=""), name="answer_idempotent"
            ),
            models.CheckConstraint(
                condition=(Q(status="done") & ~Q(outcome="")) | (~Q(status="done") & Q(outcome="")),
                name="answer_outcome_when_done",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["status", "created_at"])]

    def __str__(self) -> str:
        return str(self.id)

    words_of: Collection[uuid.UUID] | None = None  # what `rests_on` is about to be, when a text is saved before it

    def keys(self) -> list[Ref]:
        return [Ref("conversation", str(self.conversation_id))]

    def keys_of_text(self) -> list[Ref]:
        """The conversation's and those of every document whose words may be in it: with any of them the text goes."""
        if self.words_of is None:
            said = self.text or self.thinking or self.sentences
            words_of = list(self.rests_on.order_by("pk").values_list("pk", flat=True)) if said else []
        else:
            words_of = sorted(self.words_of)
        return [*self.keys(), *(Ref("document", str(key)) for key in words_of)]


class Citation(models.Model):
    """A marker of an answer and the words it stands on. Survives its chunk (new versions) but not its document."""

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="citations")
    marker = models.PositiveSmallIntegerField()  # the n of [n]
    ordinal = models.PositiveSmallIntegerField(default=0)  # several quotes under one marker
    document = models.ForeignKey("documents.Document", on_delete=models.CASCADE, related_name="citations")
    version = models.ForeignKey("documents.DocumentVersion", on_delete=models.CASCADE, related_name="citations")
    chunk = models.ForeignKey("documents.Chunk", null=True, on_delete=models.SET_NULL, related_name="+")
    title = SealedText(sealed_by="keys")
    page = models.PositiveIntegerField()
    quote = SealedText(sealed_by="keys")
    char_start = models.PositiveIntegerField()  # in the page's text
    char_end = models.PositiveIntegerField()
    verified = models.BooleanField(default=False)  # the sentence was found supported by the quote
    support = models.FloatField(default=0.0)

    class Meta:
        ordering: ClassVar = ["marker", "ordinal"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["answer", "marker", "ordinal"], name="citation_marker_unique")
        ]

    def __str__(self) -> str:
        return f"[{self.marker}] {self.title} p. {self.page}"

    def keys(self) -> list[Ref]:
        return [*self.answer.keys(), Ref("document", str(self.document_id))]


class Feedback(models.Model):
    answer = models.OneToOneField(Answer, on_delete=models.CASCADE, related_name="feedback")
    good = models.BooleanField()
    reason = SealedText(sealed_by="keys", blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return "good" if self.good else "not good"

    def keys(self) -> list[Ref]:
        return self.answer.keys()


class DailyQuestions(models.Model):
    """How many questions a person asked on a day; kept when the conversation is deleted."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "day"], name="daily_questions_unique")]

    def __str__(self) -> str:
        return f"{self.owner_id} {self.day}: {self.count}"
