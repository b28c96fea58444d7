"""Files on disk: originals and page pictures. Knows: where they lie and how a stream becomes a whole file or nothing.
Does not know: rows, rights or formats.

An original is received under `incoming/`, hashed on the way, flushed to the disk, and moved into its document's folder
when its row is about to be committed. What has no row (a crash in between) is an orphan, removed by the sweeper.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings

from assistant.errors import Invalid, TooLarge, Unavailable

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_ORPHAN_AGE = 3600.0  # seconds: far longer than any upload's transaction


class Readable(Protocol):
    """What an upload is to us: Django's UploadedFile, or any open binary file."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Received:
    """A whole file that nobody owns yet."""

    path: Path
    size: int
    sha256: str


def incoming() -> Path:
    return Path(settings.UPLOADS_DIR, "incoming")


def pictures(document_id: uuid.UUID | str) -> Path:
    """The folder of a document's rendered pages."""
    return Path(settings.CACHE_DIR, "pages", str(document_id))


def receive(stream: Readable, *, limit: int) -> Received:
    """Copy the stream to disk. Raises Invalid (empty), TooLarge, Unavailable (disk full); leaves nothing then."""
    path = incoming() / uuid.uuid4().hex
    digest = hashlib.sha256()
    size = 0
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while block := stream.read(1024 * 1024):
                size += len(block)
                if size > limit:
                    raise TooLarge(f"The file is larger than {limit // 2**20} MB. Split it, or ask for a higher limit.")
                digest.update(block)
                file.write(block)
            if size == 0:
                raise Invalid("The file is empty.", code="empty_file", fields={"file": ["The file is empty."]})
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in _NO_SPACE:
            raise Unavailable(
                "The disk is full, so the file was not stored. Tell the administrator.",
                code="disk_full",
                retry_after=60,
            ) from error
        raise
    except BaseException:  # whatever interrupts the copy, half a file must not stay
        path.unlink(missing_ok=True)
        raise
    return Received(path, size, digest.hexdigest())


def adopt(received: Received, name: str) -> None:
    """Move a received file to `name` under the uploads folder, durably."""
    target = settings.UPLOADS_DIR / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    received.path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def discard(received: Received) -> None:
    received.path.unlink(missing_ok=True)


def path_of(name: str) -> Path:
    """Where the original named in a row lies."""
    return Path(settings.UPLOADS_DIR, name)


def open_original(name: str) -> BinaryIO:
    return path_of(name).open("rb")


def erase_document(document_id: uuid.UUID | str) -> tuple[int, int]:
    """Remove a document's originals and pictures; how many of each there were."""
    counts = []
    for folder in (settings.UPLOADS_DIR / str(document_id), pictures(document_id)):
        counts.append(sum(1 for item in folder.rglob("*") if item.is_file()) if folder.is_dir() else 0)
        shutil.rmtree(folder, ignore_errors=True)
    return counts[0], counts[1]


def index_folder() -> Path:
    """Where this host's answers workers keep a snapshot of their index."""
    return Path(settings.CACHE_DIR, "index")


def erase_index_snapshot() -> None:
    """Remove this host's snapshot, since it holds words of what was erased; workers write a new one. (On other hosts
    the worker does so when it learns of the deletion.)"""
    for path in _children(index_folder()):
        path.unlink(missing_ok=True)


def erase_file(name: str) -> None:
    """Remove one original, and its folder when that was the last."""
    path = path_of(name)
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()


def stale_uploads() -> Iterator[Path]:
    """Received files that no transaction adopted."""
    return (path for path in _children(incoming()) if _old(path))


def document_folders() -> Iterator[tuple[uuid.UUID, Path]]:
    """Folders of originals and pictures, old enough that their document's row must be there."""
    for root in (settings.UPLOADS_DIR, settings.CACHE_DIR / "pages"):
        for path in _children(root):
            with suppress(ValueError):
                if _old(path):
                    yield uuid.UUID(path.name), path


def _children(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()


def _old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ORPHAN_AGE
    except FileNotFoundError:  # adopted or removed just now
        return False
