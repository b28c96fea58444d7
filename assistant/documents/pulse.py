"""The heartbeat of one job: keeps the lease, shows progress, and notices that the job is no longer ours.

Knows: a leased row and a thread. Does not know: what the job does. The thread writes every few seconds, in one
statement that also checks the fence; the job asks `check()` between steps.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from types import TracebackType

from django.db import DatabaseError, connection
from django.utils import timezone

from assistant.leases import LeaseLost

from .models import DocumentVersion, Status

logger = logging.getLogger(__name__)

LEASE_SECONDS = 20
_TICK = 1.0
_RENEW = 5.0

# The share of the whole job that lies before and within each stage.
_SHARES = {
    "parsing": (0.0, 0.5),
    "chunking": (0.5, 0.05),
    "screening": (0.55, 0.05),
    "embedding": (0.6, 0.35),
    "indexing": (0.95, 0.05),
}


class Pulse:
    """`with Pulse(version) as pulse:` renews the lease until the block ends."""

    def __init__(self, version: DocumentVersion) -> None:
        self._version = version
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._news: dict[str, object] = {}
        self._stage = ""
        self._thread = threading.Thread(target=self._beat, name=f"pulse-{version.pk}", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LeaseLost once the job was cancelled, superseded, deleted, or taken by another worker."""
        if self._lost.is_set():
            raise LeaseLost(str(self._version.pk))

    def stage(self, name: str) -> None:
        self.check()
        self._stage = name
        self._tell(stage=name, progress=_SHARES[name][0])

    def pages(self, done: int, total: int | None) -> None:
        """Progress of the parser, in pages."""
        self.check()
        start, share = _SHARES["parsing"]
        progress = start + share * (min(1.0, done / total) if total else 0.0)
        self._tell(pages_done=done, pages_total=total, progress=progress)

    def part(self, done: int, total: int) -> None:
        """Progress within the present stage."""
        self.check()
        start, share = _SHARES[self._stage]
        self._tell(progress=start + share * done / max(1, total))

    def _tell(self, **news: object) -> None:
        with self._lock:
            self._news.update(news)

    def _beat(self) -> None:
        since = 0.0
        try:
            while not self._stop.wait(_TICK):
                since += _TICK
                with self._lock:
                    news, self._news = self._news, {}
                if not news and since < _RENEW:
                    continue
                try:
                    alive = self._write(news)
                except DatabaseError as error:  # locked or restarting: the next beat tries again
                    logger.warning("heartbeat of job %s: %s", self._version.pk, error)
                    connection.close()  # a restarted database does not know the old one
                    continue
                since = 0.0
                if not alive:
                    self._lost.set()
                    return
        finally:
            connection.close()

    def _write(self, news: dict[str, object]) -> int:
        until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
        # A late beat must not touch a row that the job itself has just finished.
        mine = DocumentVersion.objects.filter(pk=self._version.pk, fence=self._version.fence, status=Status.PROCESSING)
        return mine.update(lease_until=until, **news)
