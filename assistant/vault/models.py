"""The one table of wrapped data keys. Knows rows. Does not know what is sealed with them.

A tree of two levels: a root (of a collection, of a person) is wrapped under the master key, a leaf (of a document, of
a conversation) under its root. Everything is sealed under leaves. A key is destroyed by emptying its row, which stays
as the mark that this was erased: a restored backup learns from it what to forget. The backup script keeps this table
out of the archives of data, in one file that is replaced each time.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone


class WrappedKey(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16)  # collection, person; document, conversation, record
    owner = models.CharField(max_length=64)  # the id of what it belongs to, in text: nothing elsewhere cascades here
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    wrapped = models.BinaryField()  # empty: destroyed
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    destroyed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "owner"], name="wrapped_key_owner_unique")]

    def __str__(self) -> str:
        return f"{self.kind} {self.owner}"
