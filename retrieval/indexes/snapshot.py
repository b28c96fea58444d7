"""A replica on disk: one checksummed file, replaced atomically, trusted only when every bit is right.

Knows the layout of the file. Does not know where the rows came from or how to get them again: a snapshot saves
a restart some minutes and is thrown away at the least doubt.

Layout: the magic line, the length of the header (8 bytes, little endian), the header (JSON: version, model,
dimension, seq, options, and the name, type and length of every array), the arrays one after the other, and
the SHA-256 of everything before it. Nothing is pickled and nothing in the file is executed. Removed
passages are not in it: the replica is purged first.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import numpy as np

from retrieval.config import RetrieverOptions
from retrieval.errors import SnapshotError
from retrieval.indexes.lexical import LexicalIndex
from retrieval.indexes.segment import Segment
from retrieval.retriever import Replica

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 3  # also counts what a term is: `retrieval.text.tokenize`
MAGIC = b"retrieval snapshot\n"
_DIGEST = hashlib.sha256().digest_size
_COLUMNS = {
    "chunk_ids": "<i8",
    "ordinals": "<u4",
    "lengths": "<u4",
    "document_starts": "<i8",
    "partitions": "<i8",
    "partition_starts": "<i8",
    "vectors": "<i2",
    "terms": "<u8",
    "offsets": "<u4",
    "rows": "<u2",
    "counts": "|u1",
    "documents": "|u1",
}


class Sink(Protocol):
    """Where the bytes go; `finish` ends what was begun."""

    def write(self, data: bytes | memoryview, /) -> int: ...

    def finish(self) -> None: ...


def save_snapshot(replica: Replica, path: Path, *, sealing: Callable[[BinaryIO], Sink] | None = None) -> None:
    """Write the replica to `path`, mode 0600, in place of what was there. Raises `OSError`.

    With `sealing` the file is written through the sink it makes (and read with its counterpart `opening`). The caller
    applies no event meanwhile; searches may go on. A crash leaves the old file or the new one.
    """
    seq = replica.seq
    segments = replica.segments()
    header = {
        "version": VERSION,
        "model_id": replica.model_id,
        "dimension": replica.dimension,
        "seq": seq,
        "options": asdict(replica.options),
        "segments": [{name: len(array) for name, array in _arrays(segment)} for segment in segments],
    }
    encoded = json.dumps(header, sort_keys=True).encode()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            digest = hashlib.sha256()
            sink = sealing(cast(BinaryIO, stream)) if sealing else None
            write = sink.write if sink else stream.write
            for piece in _pieces(encoded, segments):
                digest.update(piece)
                write(piece)
            write(digest.digest())
            if sink:
                sink.finish()
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_snapshot(
    path: Path, *, model_id: str, opening: Callable[[BinaryIO], Iterable[bytes]] | None = None
) -> Replica:
    """The replica that was saved. Raises `SnapshotError` for a missing, damaged or foreign file; `opening` reads what
    `sealing` wrote, and may raise ValueError."""
    try:
        data = np.fromfile(path, dtype=np.uint8) if opening is None else _opened(path, opening)
    except (OSError, ValueError) as error:
        raise SnapshotError(f"cannot read the snapshot: {error}") from error
    if len(data) < len(MAGIC) + 8 + _DIGEST or data[: len(MAGIC)].tobytes() != MAGIC:
        raise SnapshotError("the file is not a snapshot")
    if hashlib.sha256(data[:-_DIGEST].data).digest() != data[-_DIGEST:].tobytes():
        raise SnapshotError("the snapshot is damaged: its checksum does not match")
    start = len(MAGIC) + 8
    length = int.from_bytes(data[len(MAGIC) : start].tobytes(), "little")
    try:
        header = json.loads(data[start : start + length].tobytes())
        if header["version"] != VERSION:
            raise SnapshotError(f"the snapshot has version {header['version']}, not {VERSION}")
        if header["model_id"] != model_id:
            raise SnapshotError(f"the snapshot was made with {header['model_id']}, not {model_id}")
        options = RetrieverOptions(**header["options"])
        segments = list(_segments(header, data[start + length : -_DIGEST]))
        return Replica.restore(int(header["dimension"]), model_id, options, segments, int(header["seq"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SnapshotError(f"the snapshot is not understood: {error}") from error


def _opened(path: Path, opening: Callable[[BinaryIO], Iterable[bytes]]) -> NDArray[np.uint8]:
    """The plain bytes, without holding them twice: they are fewer than the file's."""
    data = np.empty(path.stat().st_size, dtype=np.uint8)
    position = 0
    with path.open("rb") as stream:
        for piece in opening(stream):
            data[position : position + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            position += len(piece)
    return data[:position]


def _arrays(segment: Segment) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every array of a segment as one-dimensional, little endian, in the order of `_COLUMNS`."""
    values: dict[str, NDArray[Any]] = {
        "vectors": segment.dense.matrix().reshape(-1),
        "documents": np.frombuffer(json.dumps(segment.documents).encode(), dtype=np.uint8),
    }
    for name, kind in _COLUMNS.items():
        source = segment.lexical if hasattr(LexicalIndex, name) else segment
        array = values[name] if name in values else getattr(source, name)
        yield name, np.ascontiguousarray(array).astype(kind, copy=False)


def _pieces(header: bytes, segments: tuple[Segment, ...]) -> Iterator[bytes | memoryview]:
    yield MAGIC
    yield len(header).to_bytes(8, "little")
    yield header
    for segment in segments:
        for _, array in _arrays(segment):
            if len(array):
                yield array.data.cast("B")


def _segments(header: dict[str, Any], data: NDArray[np.uint8]) -> Iterator[Segment]:
    position = 0
    for sizes in header["segments"]:
        columns: dict[str, NDArray[Any]] = {}
        for name, kind in _COLUMNS.items():
            size = int(sizes[name]) * np.dtype(kind).itemsize
            # Copied out of the file's buffer, which is then free to go.
            columns[name] = np.frombuffer(data[position : position + size].tobytes(), dtype=kind)
            position += size
        documents = json.loads(columns.pop("documents").tobytes())
        lexical = LexicalIndex(*(columns.pop(name) for name in ("terms", "offsets", "rows", "counts")))
        vectors = columns.pop("vectors").reshape(-1, int(header["dimension"]))
        yield Segment.assemble(documents=tuple(documents), vectors=vectors, lexical=lexical, **columns)
    if position != len(data):
        raise SnapshotError("the snapshot is not understood: its arrays do not fill it")
