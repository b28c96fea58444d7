"""The audit log's tables. Knows: rows. Does not know: people or documents (actors and targets are "kind" and "id" in
text), so that nothing elsewhere can cascade into the record."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class AuditEvent(models.Model):
    """One link of the chain. Rows are never updated or deleted; triggers refuse it (see migrations)."""

    seq = models.BigIntegerField(primary_key=True)  # contiguous from 1; assigned under a lock, never by a sequence
    schema = models.PositiveSmallIntegerField()  # catalogue.VERSION at the time
    at = models.DateTimeField()
    request_id = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=64)  # "user:12", "system", "anonymous"
    role = models.CharField(max_length=20, blank=True)
    session = models.CharField(max_length=64, blank=True)
    origin = models.CharField(max_length=128, blank=True)
    action = models.CharField(max_length=64)  # from audit.catalogue
    target_type = models.CharField(max_length=32, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=20)  # intent, success, refused, failed
    detail = models.JSONField(default=dict)  # ids, counts and digests; never texts
    commitment = models.CharField(max_length=64, blank=True)  # salted digest of the erasable content, if any
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)
    mac = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["seq"]
        indexes: ClassVar = [
            models.Index(fields=["actor", "seq"]),
            models.Index(fields=["target_type", "target_id", "seq"]),
            models.Index(fields=["action", "seq"]),
            models.Index(fields=["at"]),
            models.Index(fields=["request_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.outcome}"


class AuditContent(models.Model):
    """Texts of an event (a question, say), encrypted and erasable; the chain holds only a salted commitment."""

    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, primary_key=True, related_name="content")
    salt = models.BinaryField()  # erased together with the text: the commitment alone then tells nothing
    ciphertext = models.BinaryField(null=True)
    erased_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"content of {self.event_id}"


class AuditCheckpoint(models.Model):
    """A signed statement "at this time the chain ended so", also written outside the database."""

    seq = models.BigIntegerField()
    at = models.DateTimeField()
    digest = models.CharField(max_length=64)
    signature = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["seq"]

    def __str__(self) -> str:
        return f"checkpoint at {self.seq}"


class AuditSegment(models.Model):
    """A sealed run of events with its Merkle root."""

    first_seq = models.BigIntegerField(unique=True)
    last_seq = models.BigIntegerField(unique=True)
    root = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["first_seq"]

    def __str__(self) -> str:
        return f"segment {self.first_seq} to {self.last_seq}"


class AuditPruning(models.Model):
    """A sealed segment whose events were removed after their time: where the chain begins now, and who agreed.

    `digest` is that of the last event removed: the first one kept names it as its predecessor. The database itself
    lets a segment go only when such a row covers it (see triggers)."""

    first_seq = models.BigIntegerField(unique=True)
    last_seq = models.BigIntegerField(unique=True)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField()
    requested_by = models.CharField(max_length=64)
    approved_by = models.CharField(max_length=64)
    signature = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["first_seq"]

    def __str__(self) -> str:
        return f"pruned {self.first_seq} to {self.last_seq}"


class PermitKind(models.TextChoices):
    OPEN = "open"  # the text of one event
    PRUNE = "prune"  # every sealed segment up to one


class AuditPermit(models.Model):
    """What one reviewer asks for and only another one can allow. Each step is also an event of the chain."""

    kind = models.CharField(max_length=10, choices=PermitKind.choices)
    seq = models.BigIntegerField()  # the event whose text is meant, or the last event to prune
    reason = models.CharField(max_length=500)
    concerns = models.CharField(max_length=64, blank=True)  # whose text it is: "user:ID"
    requested_by = models.CharField(max_length=64)
    requested_at = models.DateTimeField(default=timezone.now)
    decided_by = models.CharField(max_length=64, blank=True)
    decided_at = models.DateTimeField(null=True)
    approved = models.BooleanField(null=True)
    expires_at = models.DateTimeField()  # first for the decision, then for the act
    used_at = models.DateTimeField(null=True)  # first time
    seen_at = models.DateTimeField(null=True)  # the person concerned has read the notice

    class Meta:
        ordering: ClassVar = ["-requested_at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["concerns", "used_at"])]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(decided_by=F("requested_by")), name="audit_permit_two_people")
        ]

    def __str__(self) -> str:
        return f"permit to {self.kind} {self.seq}"


class AuditQuery(models.Model):
    """Filters that a reviewer keeps under a name. `query` is the address's query string."""

    owner = models.CharField(max_length=64)
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=500)

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "name"], name="audit_query_name")]

    def __str__(self) -> str:
        return self.name


class AuditForwarding(models.Model):
    """How far a log collector has been served (see `forwarding`)."""

    address = models.CharField(max_length=200, unique=True)
    seq = models.BigIntegerField(default=0)  # the last event handed over
    at = models.DateTimeField(null=True)
    lost = models.BooleanField(default=False)  # it could not be reached, which is on record
    problem = models.CharField(max_length=300, blank=True, default="")  # why, in the words of the last attempt

    def __str__(self) -> str:
        return f"{self.address} up to {self.seq}"
