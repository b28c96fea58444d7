"""The ingestion queue. Tasks carry a row's number, make one call, and do no harm when run twice.

Knows: how jobs reach the worker, and what the sweeper puts right: jobs whose message or worker was lost, files without
a row, scopes without a document. Does not know: how a file is read.
"""

from __future__ import annotations

import logging
import shutil

import redis
from celery import shared_task

from assistant import leases, observability
from assistant.transport import redis_client

from . import erasure, index_events, storage
from .models import Document, DocumentVersion, Status
from .services.access import drop_empty_scopes
from .services.uploads import enqueue

logger = logging.getLogger(__name__)

QUEUE = "ingestion"
_AT_ONCE = 20  # waiting jobs sent again by one sweep, and the length of queue above which none is


@shared_task(name="assistant.documents.tasks.ingest")
def ingest(version_id: int) -> None:
    from . import ingestion  # the parser and the models: workers only

    with observability.context(actor="system", origin="task:ingest"):
        outcome = ingestion.ingest(version_id)
    if outcome is not None:
        logger.info("version %s: %s", version_id, outcome)


@shared_task(name="assistant.documents.tasks.sweep", expires=30)
def sweep() -> None:
    with observability.context(actor="system", origin="task:sweep"):
        resend()
        remove_orphans()
        drop_empty_scopes()
        index_events.prune()
        if erasure.write_ahead_log_pending():
            erasure.clear_write_ahead_log()


@shared_task(name="assistant.documents.tasks.tend", expires=50)
def tend() -> None:
    """Count personal data that is not counted yet; embed anew what another model embedded, and what lies in guarded
    collections."""
    from . import tending  # the models: workers only

    with observability.context(actor="system", origin="task:tend"):
        counted, renewed, veiled = tending.count(), tending.renew(), tending.veil()
    if counted or renewed or veiled:
        logger.info("%s documents counted, %s passages embedded anew", counted, renewed + veiled)


def resend() -> int:
    """Send jobs that nobody is working on. A dead worker's at once; waiting ones only when the queue is nearly empty
    (else they are in it), so that a long queue does not grow by being looked at."""
    dead = leases.overdue(DocumentVersion.objects.filter(status=Status.PROCESSING)).values_list("pk", flat=True)
    jobs = list(dead)
    if _queue_length() < _AT_ONCE:
        waiting = leases.overdue(DocumentVersion.objects.filter(status=Status.QUEUED))
        jobs += waiting.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE]
    return sum(enqueue(job) for job in jobs)


def remove_orphans() -> int:
    """Remove files that no row names; how many folders and files went."""
    gone = 0
    for path in storage.stale_uploads():
        path.unlink(missing_ok=True)
        gone += 1
    folders = list(storage.document_folders())
    known = set(Document.objects.filter(pk__in={key for key, _ in folders}).values_list("pk", flat=True))
    for key, folder in folders:
        if key not in known:
            shutil.rmtree(folder, ignore_errors=True)
            gone += 1
    return gone


def _queue_length() -> int:
    try:
        return int(redis_client().llen(QUEUE))
    except redis.RedisError:
        return _AT_ONCE  # the broker is away; sending would fail as well
