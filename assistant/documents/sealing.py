"""Originals from before the vault become sealed ones. Knows rows and files; run by `manage.py vault seal` and at start.

One file at a time: the sealed copy is written beside the plain one, then in one transaction the row learns the key and
the copy takes the place. Interrupted in between, it begins that file again.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Length

from . import storage
from .models import DocumentVersion


def unsealed() -> QuerySet[DocumentVersion]:
    """Versions whose original is readable on the disk."""
    # SQL may not look into a sealed column; how long it is says enough.
    return DocumentVersion.objects.annotate(key_bytes=Length("file_key")).filter(key_bytes=0)


def seal_originals() -> tuple[int, int]:
    """Seal every plain original on this host: (sealed, not found here)."""
    done = missing = 0
    for pk in list(unsealed().order_by("pk").values_list("pk", flat=True)):
        version = unsealed().filter(pk=pk).first()
        if version is None:  # deleted meanwhile
            continue
        try:
            key = storage.seal_original(version.stored)
        except FileNotFoundError:
            missing += 1
            continue
        with transaction.atomic():
            row = unsealed().select_for_update().filter(pk=pk).first()
            if row is not None:
                row.file_key = key
                row.save(update_fields=["file_key"])
                storage.replace_plain(row.stored)
                done += 1
    return done, missing
