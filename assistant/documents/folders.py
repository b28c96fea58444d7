"""Bringing a folder into a collection. Knows: which files are new or changed since the last time. Does not know:
formats, or how files are read.

A file is matched with what is there by its bytes and by its path within the folder, so that a changed file becomes a
new version. Stopping in the middle loses nothing: what was accepted is skipped the next time, by its bytes.

A file that disappears leaves its document as it is: an unplugged disk must not empty a collection. Whoever watches is
told once, and deletes the document in the library.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from assistant.accounts.models import User
from assistant.errors import AssistantError
from assistant.vault import ring
from retrieval.parsing import supported_media_types

from . import policy, services
from .models import Collection, Document, DocumentVersion, Status


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one file: "new", "changed", "unchanged", "refused" (with the reason) or "gone"."""

    path: Path
    what: str
    document: Document | None = None
    reason: str = ""


@dataclass(slots=True)
class Memory:
    """What a watch has dealt with, by size and time of change: a round costs one look at each file, and a file that was
    refused is not tried again before it changes."""

    seen: dict[Path, tuple[int, int, int]] = field(default_factory=dict)


SETTLED = 2.0  # seconds without a change, after which a watched file is thought to be whole


def files_in(path: Path) -> Iterator[Path]:
    """The file itself, or every readable kind of file below the folder, in a stable order; hidden ones are left out."""
    if path.is_file():
        yield path
        return
    extensions = {extension for known in supported_media_types().values() for extension in known}
    for found in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
        if found.is_file() and not hidden and found.suffix.lower() in extensions:
            yield found


def take(*, actor: User, collection: Collection, path: Path, memory: Memory | None = None) -> Iterator[Taken]:
    """Upload what is new, replace what changed, skip the rest; one result for each file.

    With a `memory` (of the rounds before) a file that is still being written waits for the next round.
    """
    known: dict[str, UUID] | None = None  # read when the first file needs it: most rounds of a watch find nothing new
    there: set[Path] = set()
    for file in files_in(path):
        source = file.relative_to(path).as_posix() if path.is_dir() else file.name
        there.add(file)
        try:
            mark = _mark(file)
            if memory is not None and memory.seen.get(file) == mark:
                yield Taken(file, "unchanged")
                continue
            if memory is not None and 0 <= time.time() - mark[1] / 1e9 < SETTLED:
                continue
            if known is None:
                known = _by_source(actor, collection)
            taken = _take_one(actor, collection, file, source, known.get(source))
            if taken.document is not None:
                known.setdefault(source, taken.document.pk)
        except AssistantError as error:
            if error.retryable:  # a full disk, no audit: the rest would fare no better
                raise
            taken = Taken(file, "refused", reason=error.detail)
        except OSError as error:
            yield Taken(file, "refused", reason=error.strerror or str(error))
            continue
        if memory is not None:
            memory.seen[file] = mark  # as it was before it was read: what changed meanwhile comes again
        yield taken
    if memory is None:
        return
    for file in sorted(set(memory.seen) - there):
        del memory.seen[file]
        yield Taken(file, "gone", reason="its document stays until you delete it in the library")


def wait(
    documents: list[Document], *, told: Callable[[DocumentVersion], None], seconds: float = 0.5
) -> list[DocumentVersion]:
    """Until every document's newest version has come to an end; `told` hears of each as it does."""
    open_ = {document.pk for document in documents}
    ended: list[DocumentVersion] = []
    while open_:
        for document in Document.objects.filter(pk__in=open_).prefetch_related("versions"):
            version = document.latest
            if version.status not in (Status.QUEUED, Status.PROCESSING):
                open_.discard(document.pk)
                ended.append(version)
                told(version)
        open_ &= set(Document.objects.filter(pk__in=open_).values_list("pk", flat=True))  # deleted meanwhile
        if open_:
            time.sleep(seconds)
    return ended


def _by_source(actor: User, collection: Collection) -> dict[str, UUID]:
    """The documents that came from a folder before, by their path in it. Paths are sealed: SQL cannot compare them."""
    rows = policy.managed_documents(actor).filter(collection=collection).order_by("-created_at", "-pk")
    ring.load("document", rows.values_list("pk", flat=True))
    return {source: pk for pk, source in rows.values_list("pk", "source") if source}


def _mark(file: Path) -> tuple[int, int, int]:
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _take_one(actor: User, collection: Collection, file: Path, source: str, before: UUID | None) -> Taken:
    known = policy.managed_documents(actor).filter(pk=before).first() if before else None
    with file.open("rb") as stream:
        if known is None:
            document, created = services.upload(
                actor=actor, collection=collection, file=stream, filename=file.name, source=source
            )
            return Taken(file, "new" if created else "unchanged", document)
        latest = known.latest
        if latest.status != Status.FAILED and latest.sha256 == hashlib.file_digest(stream, "sha256").hexdigest():
            return Taken(file, "unchanged", known)
        stream.seek(0)
        _, created = services.replace(actor=actor, document=known, file=stream, filename=file.name)
    return Taken(file, "changed" if created else "unchanged", known)
