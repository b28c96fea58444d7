"""Files on disk: originals and page pictures, sealed. Knows: where they lie and how a stream becomes a whole file or
nothing. Does not know: rows, rights or formats; the key of each original is its row's.

An original is sealed under a key of its own from its first byte on: received under `incoming/`, hashed on the way,
flushed to the disk, and moved into its document's folder when its row is about to be committed. What has no row (a
crash in between) is an orphan, removed by the sweeper.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from django.conf import settings

from assistant.errors import Invalid, TooLarge, Unavailable
from assistant.vault import envelope, ring, streams
from assistant.vault.ring import Ref

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_CACHED = "documents.cache"
_ORPHAN_AGE = 3600.0  # seconds: far longer than any upload's transaction


class Readable(Protocol):
    """What an upload is to us: Django's UploadedFile, or any open binary file."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Received:
    """A whole sealed file that nobody owns yet; size and digest are of what is in it."""

    path: Path
    size: int
    sha256: str
    key: bytes = field(repr=False)


def incoming() -> Path:
    return Path(settings.UPLOADS_DIR, "incoming")


def pictures(document_id: uuid.UUID | str) -> Path:
    """The folder of a document's rendered pages."""
    return Path(settings.CACHE_DIR, "pages", str(document_id))


def receive(stream: Readable, *, limit: int) -> Received:
    """Copy the stream to disk. Raises Invalid (empty), TooLarge, Unavailable (disk full); leaves nothing then."""
    path = incoming() / uuid.uuid4().hex
    digest = hashlib.sha256()
    size, key = 0, envelope.new_secret()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            sealed = streams.SealedWriter(cast(BinaryIO, file), key)
            while block := stream.read(1024 * 1024):
                size += len(block)
                if size > limit:
                    raise TooLarge(f"The file is larger than {limit // 2**20} MB. Split it, or ask for a higher limit.")
                digest.update(block)
                sealed.write(block)
            if size == 0:
                words = "The file is empty. Look at it where it comes from, and send it again with its content."
                raise Invalid(words, code="empty_file", fields={"file": [words]})
            sealed.finish()
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
    return Received(path, size, digest.hexdigest(), key)


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


def open_original(name: str, key: bytes) -> BinaryIO:
    """The original's plain bytes in an anonymous file in memory, at its start. `key` is its row's (none: a file from
    before the vault, not sealed yet). Raises FileNotFoundError, vault.envelope.Damaged."""
    source = path_of(name).open("rb")
    if not key:
        return source
    with source:
        plain = os.fdopen(os.memfd_create("original", os.MFD_CLOEXEC), "w+b")
        try:
            for piece in streams.pieces(source, key):
                plain.write(piece)
            plain.seek(0)
        except BaseException:
            plain.close()
            raise
        return plain


@contextmanager
def readable(name: str, key: bytes) -> Iterator[Path]:
    """A path by which this process can open the original's plain bytes; nothing of them is on a disk."""
    with open_original(name, key) as plain:
        yield Path(f"/proc/self/fd/{plain.fileno()}")


def seal_original(name: str) -> bytes:
    """Seal an original from before the vault where it lies; its new key, to be stored before the next reading.
    The sealed file stands beside the plain one until `replace_plain`."""
    key = envelope.new_secret()
    with path_of(name).open("rb") as source, _beside(name).open("wb") as target:
        sealed = streams.SealedWriter(target, key)
        while block := source.read(streams.PIECE):
            sealed.write(block)
        sealed.finish()
        target.flush()
        os.fsync(target.fileno())
    return key


def replace_plain(name: str) -> None:
    """The sealed file takes the plain one's place."""
    _beside(name).replace(path_of(name))


def _beside(name: str) -> Path:
    path = path_of(name)
    return path.with_name(f"{path.name}.sealed")


def keep(path: Path, content: bytes, document_id: uuid.UUID | str) -> None:
    """Write something drawn from a document, sealed under its key, whole or not at all; a full disk costs the cache,
    not the page. Raises vault.errors.KeyDestroyed when the document is being erased."""
    sealed = ring.seal(content, [Ref("document", str(document_id))], _CACHED)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(sealed)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)


def kept(path: Path) -> bytes:
    """What `keep` wrote. Raises OSError when it is not there, ValueError when it does not open (any more)."""
    content = ring.open_sealed(path.read_bytes(), _CACHED)
    if content is None:
        raise ValueError("the key of this picture is destroyed")
    return content


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


def erase_index_snapshot() -> int:
    """Remove this host's snapshot, since it holds words of what was erased; workers write a new one. (On other hosts
    the worker does so when it learns of the deletion.) How many of its files there were."""
    files = list(_children(index_folder()))
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


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
