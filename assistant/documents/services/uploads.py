"""Accepting files: a new document or a new version. Knows: duplicates, names, the job's row. Does not know: formats
(reading is `ingestion`'s, minutes later, in another process).

The slow part, writing the file, holds no lock; then one short transaction, with the collection's row locked, decides
between a new document and one that is already there.
"""

from __future__ import annotations

import logging
import re
from pathlib import PurePath

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F
from kombu.exceptions import OperationalError

from assistant.accounts.models import User
from assistant.audit import services as audit
from assistant.documents import policy, storage
from assistant.documents.models import Collection, Document, DocumentVersion, Status, version_path
from assistant.errors import Conflict
from assistant.guardrails import sanitize

from .access import document_target, own_scope

logger = logging.getLogger(__name__)

INGEST = "assistant.documents.tasks.ingest"


def upload(
    *,
    actor: User,
    collection: Collection,
    file: storage.Readable,
    filename: str,
    title: str | None = None,
    source: str = "",
) -> tuple[Document, bool]:
    """Store the file and queue its reading; (document, created).

    The bytes that are already some document's newest or current version in this collection are that document: it is
    returned, and read again if the last attempt failed. `source` is the path by which a folder import knows it again.
    Raises NotFound, Invalid, TooLarge, Unavailable.
    """
    row = policy.get_managed_collection(actor, collection.slug)
    name = sanitize.filename(filename)
    received = storage.receive(file, limit=settings.MAX_UPLOAD_BYTES)
    stored = ""
    try:
        with transaction.atomic():
            row = policy.lock_managed_collection(actor, collection.slug)
            document = same_content(row, received.sha256)
            if document is not None:
                _again(document)
                return document, False
            document = Document(collection=row, scope=own_scope(row), owner=actor, source=source[:500])
            document.title = sanitize.title(title or "") or title_from(name)
            document.save(force_insert=True)
            version = _add_version(document, 1, received, name, actor)
            stored = version.stored
            detail = _facts(version) | {"collection": row.pk}
            audit.record(action="document.uploaded", target=document_target(document.pk), detail=detail)
            stored = ""  # from here on the commit decides; if it fails the sweeper finds a file without a row
    finally:
        storage.discard(received)
        if stored:
            storage.erase_file(stored)
    return document, True


def replace(*, actor: User, document: Document, file: storage.Readable, filename: str) -> tuple[DocumentVersion, bool]:
    """A new version; the present one answers until the new one has been read. (version, created): the same bytes as
    the newest version are that version. Raises as `upload`, and Conflict for another document's content."""
    policy.get_managed_document(actor, document.pk)
    name = sanitize.filename(filename)
    received = storage.receive(file, limit=settings.MAX_UPLOAD_BYTES)
    stored = ""
    try:
        with transaction.atomic():
            row = policy.lock_managed_document(actor, document.pk)
            home = Collection.objects.select_for_update().get(pk=row.collection_id)
            newest = row.latest
            if newest.sha256 == received.sha256:
                _again(row)
                return newest, False
            other = same_content(home, received.sha256)
            if other is not None and other.pk != row.pk:
                raise Conflict("This collection already holds that file as another document.", code="duplicate")
            supersede(newest)
            version = _add_version(row, newest.number + 1, received, name, actor)
            stored = version.stored
            row.save(update_fields=["updated_at"])
            audit.record(action="document.replaced", target=document_target(row.pk), detail=_facts(version))
            stored = ""
    finally:
        storage.discard(received)
        if stored:
            storage.erase_file(stored)
    return version, True


def same_content(collection: Collection, sha256: str) -> Document | None:
    """The document of the collection whose newest or current version has these bytes. Not a read right: callers
    manage the collection."""
    versions = DocumentVersion.objects.filter(document__collection=collection, sha256=sha256)
    for version in versions.select_related("document__current").order_by("document__created_at"):
        if version.pk == version.document.current_id or version.pk == version.document.latest.pk:
            return version.document
    return None


def supersede(version: DocumentVersion) -> None:
    """A version that is still waiting or being read gives way to a newer one."""
    waiting = DocumentVersion.objects.filter(pk=version.pk, status__in=[Status.QUEUED, Status.PROCESSING])
    waiting.update(
        status=Status.FAILED,
        error_code="superseded",
        error="A newer version was uploaded before this one had been read.",
        fence=F("fence") + 1,
        lease_until=None,
    )


def requeue(version: DocumentVersion) -> None:
    """Back to the start of the queue's stages with three fresh attempts. Inside a transaction."""
    DocumentVersion.objects.filter(pk=version.pk).update(
        status=Status.QUEUED,
        stage="",
        progress=0.0,
        pages_done=0,
        pages_total=None,
        error_code="",
        error="",
        attempt=0,
        fence=F("fence") + 1,
        lease_until=None,
        finished_at=None,
    )
    enqueue_on_commit(version.pk)


def enqueue_on_commit(version_id: int) -> None:
    transaction.on_commit(lambda: enqueue(version_id))


def enqueue(version_id: int) -> bool:
    """Send the task by name, so that accepting an upload never loads what reading needs. A broker that is away loses
    nothing: the sweeper sends it again. False then."""
    try:
        current_app.send_task(INGEST, args=[version_id], retry=False)
    except (OperationalError, redis.RedisError) as error:
        logger.warning("job %s waits for the sweeper: %s", version_id, error)
        return False
    return True


def title_from(filename: str) -> str:
    """A readable title until the document's own is known: "travel_policy-2026.pdf" is "travel policy 2026"."""
    stem = PurePath(filename).stem
    return sanitize.title(re.sub(r"[\s_]+|(?<=\w)-(?=\w)", " ", stem)) or filename


def _again(document: Document) -> None:
    newest = document.latest
    if newest.status == Status.FAILED:
        requeue(newest)


def _add_version(
    document: Document, number: int, received: storage.Received, filename: str, actor: User
) -> DocumentVersion:
    version = DocumentVersion(
        document=document,
        number=number,
        filename=filename,
        file_key=received.key,
        size=received.size,
        sha256=received.sha256,
        uploaded_by=actor,
    )
    version.file.name = version_path(version, filename)
    version.save(force_insert=True)
    storage.adopt(received, version.stored)
    enqueue_on_commit(version.pk)
    return version


def _facts(version: DocumentVersion) -> dict[str, str | int]:
    return {"version": version.number, "sha256": version.sha256, "size": version.size}
