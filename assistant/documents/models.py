"""Collections, scopes, grants, documents and what they were read into. Knows: rows and their invariants. Does not
know: who may do what (`policy`) or how changes are made (`services`)."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from assistant.leases import Leased
from assistant.vault.fields import SealedBytes, SealedJSON, SealedText
from assistant.vault.ring import Ref


class Collection(models.Model):
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=2000)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class PersonalDataPolicy(models.Model):
    """How personal data of one collection is shown, by role. No row: as it stands, to everybody who may read it."""

    collection = models.OneToOneField(Collection, on_delete=models.CASCADE, related_name="personal_data_policy")
    treatments = models.JSONField(default=dict)  # {role: personal.Treatment}, every role named
    types = models.JSONField(default=list)  # the classes concerned; empty: all
    disguise = models.BooleanField(default=False)  # language models read pseudonyms, also for those who see the values
    reveal = models.JSONField(default=list)  # roles that may turn a pseudonym back
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.collection_id}: {self.treatments}"


class PersonalDataDictionary(models.Model):
    """The customer's own words that count as personal data. One row at most."""

    terms = SealedJSON(sealed_by="keys", default=dict)  # {class: [term, …]}
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.changed_at)

    def keys(self) -> list[Ref]:
        return [Ref("dictionary", "terms", root=("installation", "dictionary"))]


class Scope(models.Model):
    """A set of documents that the same people may read: the unit of access and the index's partition.

    `key` is "" for the collection's own scope; for a restricted scope it is the digest of its principals, so that
    documents of one collection restricted to the same people share one partition.
    """

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="scopes")
    key = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["collection", "key"], name="scope_unique")]

    def __str__(self) -> str:
        return f"{self.collection}{' (restricted)' if self.restricted else ''}"

    @property
    def restricted(self) -> bool:
        return self.key != ""


class Access(models.TextChoices):
    READER = "reader", _("Reader")
    CURATOR = "curator", _("Curator")


class Grant(models.Model):
    """Exactly one principal (a person, a team or everyone) has access to one scope. No grant, no access."""

    scope = models.ForeignKey(Scope, on_delete=models.CASCADE, related_name="grants")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="grants"
    )
    team = models.ForeignKey("accounts.Team", null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    everyone = models.BooleanField(default=False)
    access = models.CharField(max_length=10, choices=Access.choices, default=Access.READER)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=(
                    Q(user__isnull=False, team__isnull=True, everyone=False)
                    | Q(user__isnull=True, team__isnull=False, everyone=False)
                    | Q(user__isnull=True, team__isnull=True, everyone=True)
                ),
                name="grant_one_principal",
            ),
            models.UniqueConstraint(fields=["scope", "user"], condition=Q(user__isnull=False), name="grant_user_once"),
            models.UniqueConstraint(fields=["scope", "team"], condition=Q(team__isnull=False), name="grant_team_once"),
            models.UniqueConstraint(fields=["scope"], condition=Q(everyone=True), name="grant_everyone_once"),
        ]

    def __str__(self) -> str:
        return f"{self.principal}: {self.access}"

    @property
    def principal(self) -> str:
        """The wire form: "user:EMAIL", "team:SLUG" or "everyone"."""
        if self.everyone:
            return "everyone"
        return f"team:{self.team.slug}" if self.team else f"user:{self.user.email if self.user else ''}"

    @property
    def reference(self) -> str:
        """Names the grant within its scope; stays the same when a restricted document changes its scope."""
        if self.everyone:
            return "everyone"
        return f"team-{self.team_id}" if self.team_id else f"user-{self.user_id}"


class Status(models.TextChoices):
    QUEUED = "queued", _("Queued")
    PROCESSING = "processing", _("Processing")
    READY = "ready", _("Ready")
    QUARANTINED = "quarantined", _("Quarantined")
    FAILED = "failed", _("Failed")


class Document(models.Model):
    """What people see as one document. Its content is its versions'; `current` is the one that answers."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.PROTECT, related_name="documents")
    scope = models.ForeignKey(Scope, on_delete=models.PROTECT, related_name="documents")
    title = SealedText(sealed_by="keys")
    source = SealedText(sealed_by="keys", blank=True, default="", editable=False)  # path within an imported folder
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="documents")
    current = models.OneToOneField(
        "DocumentVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="current_of"
    )
    valid_from = models.DateField(null=True, blank=True)
    valid_until = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=(
                    Q(valid_from__isnull=True) | Q(valid_until__isnull=True) | Q(valid_until__gte=F("valid_from"))
                ),
                name="document_validity_order",
            )
        ]

    def __str__(self) -> str:
        return str(self.title)

    def keys(self) -> list[Ref]:
        """The document's own key, made with its row and wrapped under its collection's."""
        return [Ref("document", str(self.pk), root=("collection", str(self.collection_id)))]

    @property
    def latest(self) -> DocumentVersion:
        """The newest version: its state is the document's. (`prefetch_related("versions")` for lists.)"""
        return self.versions.all()[0]

    @property
    def restricted(self) -> bool:
        return self.scope.restricted


def version_path(version: DocumentVersion, filename: str) -> str:
    """Where an upload lies: under its document's id, never under a name that came from outside."""
    return f"{version.document_id}/{version.number}-{uuid.uuid4().hex}"


class DocumentVersion(Leased):
    """One uploaded file and the job of reading it. The newest version's state is the document's state."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    file = models.FileField(upload_to=version_path, max_length=200)
    file_key = SealedBytes(sealed_by="keys", default=b"", editable=False)  # of the sealed original; none: it is plain
    filename = SealedText(sealed_by="keys")
    media_type = models.CharField(max_length=100, blank=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    stage = models.CharField(max_length=20, blank=True)  # one of ingestion.STAGES
    progress = models.FloatField(default=0.0)  # 0 to 1 within the whole job
    pages_done = models.PositiveIntegerField(default=0)
    pages_total = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)  # a sentence that says what to do
    warnings = models.JSONField(default=list)
    hidden_text = SealedJSON(
        sealed_by="keys", default=list
    )  # [{"page", "reason", "text"}] for the curator; never indexed
    embedding_model = models.CharField(max_length=120, blank=True)
    personal_data = models.JSONField(null=True)  # {class: count} over its pages; None: not counted yet
    released = models.BooleanField(default=False)  # a curator reviewed the quarantined text and lets it answer
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["document", "number"], name="version_number_unique"),
        ]
        indexes: ClassVar = [models.Index(fields=["sha256"]), models.Index(fields=["status", "lease_until"])]

    def __str__(self) -> str:
        return f"{self.document_id} v{self.number}"

    def keys(self) -> list[Ref]:
        return [Ref("document", str(self.document_id))]

    @property
    def stored(self) -> str:
        """The original's name under the uploads folder."""
        return str(self.file.name)


class Page(models.Model):
    """The text of one page (slide, sheet, section) as it was understood; chunks and citations point into it."""

    version = models.ForeignKey(DocumentVersion, on_delete=models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    label = SealedText(sealed_by="keys", blank=True, default="")
    text = SealedText(sealed_by="keys")
    ocr = models.BooleanField(default=False)
    layout = models.JSONField(default=list)  # OCR line boxes: [char_start, char_end, x0, y0, x1, y1], fractions 0..1

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "number"], name="page_number_unique")]

    def __str__(self) -> str:
        return f"{self.version_id} p. {self.number}"

    def keys(self) -> list[Ref]:
        return self.version.keys()


class Chunk(models.Model):
    """A passage. `text` equals its page's text[char_start:char_end]. Only a document's current version has chunks."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    version = models.ForeignKey(DocumentVersion, on_delete=models.CASCADE, related_name="chunks")
    ordinal = models.PositiveIntegerField()
    page = models.PositiveIntegerField()
    headings = SealedJSON(sealed_by="keys", default=list)
    char_start = models.PositiveIntegerField()
    char_end = models.PositiveIntegerField()
    text = SealedText(sealed_by="keys")
    embedding = SealedBytes(sealed_by="keys")  # float16 little-endian, L2-normalised, of version.embedding_model
    veiled = models.BooleanField(default=False)  # embedded without its personal data (see `personal`)
    suspicion = models.FloatField(default=0.0)  # 0..1, instruction-like text; a flag for ranking, never access control

    class Meta:
        ordering: ClassVar = ["ordinal"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "ordinal"], name="chunk_ordinal_unique")]

    def __str__(self) -> str:
        return f"{self.document_id} #{self.ordinal}"

    def keys(self) -> list[Ref]:
        return [Ref("document", str(self.document_id))]


class HoldKind(models.TextChoices):
    COLLECTION = "collection", _("Collection")
    DOCUMENT = "document", _("Document")
    PERSON = "person", _("Person")


class LegalHold(models.Model):
    """What must be kept. People and targets are numbers, so that nothing elsewhere can cascade into it."""

    kind = models.CharField(max_length=12, choices=HoldKind.choices)
    target = models.CharField(max_length=64)  # the id of the collection, document or person
    reason = models.CharField(max_length=500)
    placed_by = models.BigIntegerField()
    placed_at = models.DateTimeField(default=timezone.now, editable=False)
    lift_asked_by = models.BigIntegerField(null=True)
    lift_asked_at = models.DateTimeField(null=True)
    lift_reason = models.CharField(max_length=500, blank=True, default="")
    lifted_by = models.BigIntegerField(null=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [models.Index(fields=["kind", "target"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


class IndexEvent(models.Model):
    """ "This document's searchable content changed": replicas read the rows again. `seq` is contiguous.

    Written in the same transaction as the rows; one writer at a time. The event names the document only, so that
    applying it twice, late or out of a snapshot ends in the database's state.
    """

    seq = models.BigIntegerField(primary_key=True)
    document_id = models.UUIDField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["seq"]

    def __str__(self) -> str:
        return f"{self.seq}: {self.document_id}"
