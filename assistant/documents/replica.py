"""This process's searchable copy of the database. Answers workers only.

Knows: how events become changes of the index, and when the copy must be made anew. Does not know: people or rights
(partitions are scopes, chosen by the caller at question time), nor how searching works (`retrieval`).

`catch_up` before each search is one small query when nothing is new. It also reads the last event already applied: if
that is gone or not the one remembered (a database restored from a backup, pruned events), the copy is rebuilt.
A document is read in one statement, so that it is whole; whatever changes while the copy is built has a later event,
and applying an event is reading the rows again, so late or repeated events end in the database's state.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.db import DatabaseError, connection
from django.db.models import Q, QuerySet

from assistant import engines
from assistant.backends.prepared import Prepared
from assistant.vault import ring, streams
from assistant.vault.ring import Ref
from retrieval.chunking import passage_text
from retrieval.errors import SnapshotError
from retrieval.indexes.snapshot import load_snapshot, save_snapshot
from retrieval.retriever import Replica
from retrieval.schema import IndexRecord

from . import index_events, personal, storage
from .models import Chunk, Document, IndexEvent

logger = logging.getLogger(__name__)

_EVENTS = 500  # applied together
_DOCUMENTS = 200  # loaded together
_KEEPER_SECONDS = 5.0
_SNAPSHOT_SECONDS = 60.0
_SNAPSHOT = "replica.snapshot"


@dataclass(frozen=True, slots=True)
class Mark:
    """The last event applied; equal marks mean the same history."""

    seq: int = 0
    document: str = ""
    at: str = ""


class DocumentReplica:
    """The index, the mark it stands at, and the lock of the one thread that changes it.

    The lock is held while events are applied, never while a file is written: `save` takes the segments, which never
    change, together with the mark, and writes them while others go on searching and applying.
    """

    def __init__(self, *, dimension: int, model_id: str, folder: Path) -> None:
        self._dimension = dimension
        self.model_id = model_id
        self._folder = folder
        self._lock = threading.Lock()
        self._saving = threading.Lock()  # one snapshot at a time
        self._epoch = 0  # counts the times that files had to go: what was taken before is not put in their place
        self._mark = Mark()
        self._saved: Mark | None = None
        self.loaded = False
        self.ready = False  # has caught up once
        self._erased = False  # dead rows of removed documents are still in memory
        self.index = Replica(dimension, model_id)

    @property
    def seq(self) -> int:
        return self._mark.seq

    def catch_up(self) -> int:
        """Apply what happened since; the last event's number. Loads the copy first when this process has none yet."""
        with self._lock:
            if not self.loaded and not self._restore():
                self._rebuild()
            while True:
                events = _events_from(self._mark.seq)
                if self._mark.seq:
                    if not events or events[0] != self._mark:
                        logger.warning("the history of index events is not the one this copy followed: rebuilding")
                        self._rebuild()
                        continue
                    events = events[1:]
                if events and events[0].seq != self._mark.seq + 1:
                    logger.warning("index events before %s are gone: rebuilding", events[0].seq)
                    self._rebuild()
                    continue
                if not events:
                    self.ready = True
                    return self._mark.seq
                self._apply(UUID(event.document) for event in events)
                self._move(events[-1])

    def save(self) -> bool:
        """Write a snapshot if anything changed since the last; True when written. Raises OSError.

        Searches and updates go on meanwhile. Should a document be removed while the file is written, it is thrown away.
        """
        with self._saving:
            index = self.index
            index.tidy()
            with self._lock:
                if not self.loaded or self._saved == self._mark or index is not self.index:
                    return False
                taken, mark, epoch = index.frozen(), self._mark, self._epoch
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._folder / f"{_SNAPSHOT}.{os.getpid()}"
            try:
                save_snapshot(taken, part, sealing=partial(streams.SealedWriter, key=_file_key()))
                return self._publish(part, mark, epoch)
            finally:
                part.unlink(missing_ok=True)

    def _publish(self, snapshot: Path, mark: Mark, epoch: int) -> bool:
        """Put a finished file in its place, unless something in it was erased meanwhile."""
        with self._lock:
            if epoch != self._epoch:
                return False
            # The mark goes last and names the snapshot's number: a crash in between leaves a pair that is refused.
            self._mark_path.unlink(missing_ok=True)
            snapshot.replace(self._snapshot_path)
            part = self._mark_path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps([mark.seq, mark.document, mark.at]), encoding="ascii")
            part.replace(self._mark_path)
            self._saved = mark
            return True

    def purge(self) -> bool:
        """Let go of what was erased, from memory too, prompts that a language model keeps among it; True when there was
        something. The next search need not wait for this: dead rows are never searched."""
        with self._lock:
            erased, self._erased = self._erased, False
        if erased:
            self.index.purge()
            engines.forget_prompts()
        return erased

    def status(self) -> dict[str, Any]:
        """Facts for health: {"replica_ready", "seq", "latest", "lag", "chunks"}."""
        latest = index_events.last_seq()
        return {
            "replica_ready": self.ready,
            "seq": self._mark.seq,
            "latest": latest,
            "lag": latest - self._mark.seq,
            "chunks": len(self.index),
        }

    @property
    def _snapshot_path(self) -> Path:
        return self._folder / _SNAPSHOT

    @property
    def _mark_path(self) -> Path:
        return self._folder / "replica.mark"

    def _forget(self) -> None:
        self._epoch += 1
        self._mark_path.unlink(missing_ok=True)
        self._snapshot_path.unlink(missing_ok=True)
        self._sweep()
        self._saved = None

    def _sweep(self) -> None:
        """Remove what a process that died while saving has left; one that is alive saves again a minute later."""
        for part in self._folder.glob(f"*{_SNAPSHOT}.*"):
            part.unlink(missing_ok=True)

    def _move(self, mark: Mark) -> None:
        self._mark = mark
        self.index.seq = mark.seq

    def _restore(self) -> bool:
        self._sweep()
        try:
            mark = Mark(*json.loads(self._mark_path.read_text(encoding="ascii")))
            index = load_snapshot(
                self._snapshot_path, model_id=self.model_id, opening=partial(streams.pieces, key=_file_key())
            )
        except (OSError, ValueError, TypeError, SnapshotError) as error:
            logger.info("no usable snapshot: %s", error)
            return False
        if index.seq != mark.seq or index.dimension != self._dimension:
            return False
        self.index, self._mark, self._saved, self.loaded = index, mark, mark, True
        logger.info("snapshot at event %s with %s passages", mark.seq, len(index))
        return True

    def _rebuild(self) -> None:
        """From the rows, beside the present copy, which goes on answering until the new one is whole."""
        start = time.monotonic()
        last = IndexEvent.objects.order_by("-seq").values_list(*_MARK).first()
        mark = _mark(*last) if last else Mark()
        fresh = Replica(self._dimension, self.model_id)
        # By scope, so that a partition lies in few segments and a search for few scopes touches few.
        for batch in _batches(Document.objects.filter(current__isnull=False)):
            fresh.apply_many(self._records(batch).items())
        self._forget()
        self.index = fresh
        self._move(mark)
        self.loaded = True
        logger.info("built from the database: %s passages in %.1f s", len(fresh), time.monotonic() - start)

    def _apply(self, document_ids: Iterable[UUID]) -> None:
        wanted = list(dict.fromkeys(document_ids))
        changes = self._records(wanted)
        self.index.apply_many(changes.items())
        if any(not records for records in changes.values()):
            self._erased = True
            self._forget()

    def _records(self, document_ids: list[UUID]) -> dict[str, list[IndexRecord]]:
        """What is searchable of each document now: nothing for those that are gone."""
        records: dict[str, list[IndexRecord]] = {str(key): [] for key in document_ids}
        ring.load("document", document_ids)
        guarded = personal.guarded()
        veiled = _without_values(document_ids, guarded) if guarded else {}
        rows = Chunk.objects.filter(document__in=document_ids).values_list(
            "pk",
            "document_id",
            "document__scope_id",
            "document__collection_id",
            "ordinal",
            "document__title",
            "headings",
            "text",
            "embedding",
            "version__embedding_model",
        )
        for pk, document, scope, collection, ordinal, title, headings, text, embedding, model in rows.order_by(
            "ordinal"
        ):
            if not embedding:  # its key was destroyed since: the deletion's own event follows
                continue
            if model == self.model_id:
                vector = np.frombuffer(bytes(embedding), dtype="<f2").astype(np.float16, copy=False)
            else:  # another model's: found by its words alone until it is embedded anew (`tasks.tend`)
                vector = np.zeros(self._dimension, dtype=np.float16)
            words = passage_text(title, headings, text)
            if collection in guarded:
                if pk not in veiled:  # came after the first look: its own event follows
                    continue
                words, clear = veiled[pk]
                vector = vector if clear else np.zeros_like(vector)
            records[str(document)].append(
                IndexRecord(
                    chunk_id=pk,
                    document_id=str(document),
                    partition=scope,
                    ordinal=ordinal,
                    text=words,
                    vector=vector,
                )
            )
        return records


def _without_values(document_ids: list[UUID], guarded: dict[int, personal.Rule]) -> dict[int, tuple[str, bool]]:
    """For passages of guarded collections: the words to index, pseudonyms in place of values, and whether the stored
    vector may be used. One that was made from the values may not: the passage is then found by its words alone, until
    it is embedded anew (`tasks.tend`)."""
    chunks = Chunk.objects.filter(document__in=document_ids, document__collection__in=guarded).defer("embedding")
    rows = list(chunks.select_related("document"))
    shown = personal.passages(rows, lambda row: guarded[row.document.collection_id])
    found = {}
    for row in rows:
        passage = shown[row.pk]
        words = passage_text(passage.title, passage.headings, passage.shown.text)
        found[row.pk] = words, row.veiled or words == passage_text(row.document.title, row.headings, row.text)
    return found


class Keeper(threading.Thread):
    """Keeps an idle worker current (erased text leaves its memory within seconds) and saves snapshots."""

    def __init__(self, replica: DocumentReplica) -> None:
        super().__init__(name="replica-keeper", daemon=True)
        self._replica = replica
        self._ended = threading.Event()

    def run(self) -> None:
        saved = time.monotonic()
        while not self._ended.wait(_KEEPER_SECONDS):
            try:
                self._replica.catch_up()
                self._replica.purge()
                if time.monotonic() - saved > _SNAPSHOT_SECONDS:
                    self._replica.save()
                    saved = time.monotonic()
            except (DatabaseError, OSError) as error:  # the next round tries again
                logger.warning("replica: %s", error)
            finally:
                connection.close()

    def stop(self) -> None:
        """End the thread and leave a snapshot for the next start."""
        self._ended.set()
        self.join(timeout=10)
        try:
            self._replica.save()
        except OSError as error:
            logger.warning("no snapshot at the end: %s", error)


_making = threading.Lock()
_replica: DocumentReplica | None = None
_keeper: Keeper | None = None


def replica() -> DocumentReplica:
    """The process's replica, made at the first call (not loaded yet: `catch_up`)."""
    global _replica
    with _making:
        if _replica is None:
            embedder = engines.embedder()
            _replica = DocumentReplica(
                dimension=embedder.dimension, model_id=embedder.model_id, folder=storage.index_folder()
            )
        return _replica


def catch_up() -> int:
    """Bring the process's replica up to date and keep it so from now on; the last event's number."""
    seq = replica().catch_up()
    _keep()
    return seq


def status() -> dict[str, Any]:
    """Facts for the worker's heartbeat; not ready before the first `catch_up`."""
    return _replica.status() if _replica is not None else {"replica_ready": False}


def close() -> None:
    """Stop keeping and save a snapshot: at the worker's end."""
    global _keeper
    with _making:
        keeper, _keeper = _keeper, None
    if keeper is not None:
        keeper.stop()


def _keep() -> None:
    global _keeper
    with _making:
        if _keeper is None and _replica is not None:
            _keeper = Keeper(_replica)
            _keeper.start()


def _file_key() -> bytes:
    """Of this installation's snapshots. They are never in a backup, and are thrown away with every erasure."""
    return ring.secret(Ref("snapshot", "index", root=("index", "snapshots")))


_MARK = ("seq", "document_id", "at")
_FROM = Prepared(lambda seq: IndexEvent.objects.filter(seq__gte=seq).order_by("seq").values_list(*_MARK)[: _EVENTS + 1])


def _mark(seq: int, document: UUID, at: datetime) -> Mark:
    return Mark(seq, str(document), at.isoformat())


def _events_from(seq: int) -> list[Mark]:
    return [_mark(*event) for event in _FROM.rows(seq=seq)]


def _batches(documents: QuerySet[Document]) -> Iterator[list[UUID]]:
    """Ids by scope, in pages of bounded size, without holding a cursor open over other queries. A document that is
    moved meanwhile may be missed or come twice: its event follows, and is applied after."""
    after = Q()
    while True:
        batch = list(documents.filter(after).order_by("scope", "pk").values_list("scope", "pk")[:_DOCUMENTS])
        if not batch:
            return
        yield [pk for _, pk in batch]
        scope, last = batch[-1]
        after = Q(scope__gt=scope) | Q(scope=scope, pk__gt=last)
