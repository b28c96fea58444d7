"""What the audit log leaves outside the database: the head after each commit, and signed checkpoints.

Knows: two files in one directory, only readable by us. Does not know: the database.

`head` holds the last event this host has seen committed: whoever cuts the table's tail must reach this file too.
`checkpoints.jsonl` holds one signed line per checkpoint, only ever appended to.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .verification import Checkpoint

HEAD = "head"
CHECKPOINTS = "checkpoints.jsonl"
LONGEST_LINE = 4096  # bytes; a checkpoint has about 300


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    try:
        descriptor = _opened(path, flags)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _opened(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def advance_head(directory: Path, *, seq: int, at: str, digest: str) -> None:
    """Note that event `seq` is committed; a smaller number than the noted one is ignored. Raises OSError."""
    line = f"{seq:020d} {at} {digest}\n".encode()
    with _locked(directory / HEAD, os.O_RDWR) as descriptor:
        before = os.pread(descriptor, 20, 0)
        if not before.isdigit() or int(before) < seq:
            os.pwrite(descriptor, line, 0)  # always the same length: no reader sees a mixture of two


def read_head(directory: Path) -> Checkpoint | None:
    """The head this host has seen; None before the first event."""
    try:
        parts = (directory / HEAD).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    if len(parts) != 3:
        return None
    return Checkpoint(int(parts[0]), parts[1], parts[2], origin="head file")


def append_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """On disk (fsync) when it returns, as a whole or not at all. Raises OSError."""
    line = json.dumps({**checkpoint.statement, "signature": checkpoint.signature}, sort_keys=True).encode() + b"\n"
    with _locked(directory / CHECKPOINTS, os.O_RDWR | os.O_APPEND) as descriptor:
        end = _end_of_lines(descriptor)
        if os.write(descriptor, line) < len(line):
            os.ftruncate(descriptor, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory / CHECKPOINTS))
        os.fsync(descriptor)


def _end_of_lines(descriptor: int) -> int:
    """The size of the file, after half a line that a crash left at its end has been cut off."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, LONGEST_LINE, max(0, size - LONGEST_LINE))
    end = size - len(tail) + tail.rfind(b"\n") + 1
    if end < size:
        os.ftruncate(descriptor, end)
    return end


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """Every line of the file; a last line cut off by a crash is left out. Raises ValueError for a damaged line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line end is no whole line
        try:
            item = json.loads(line)
            found.append(
                Checkpoint(
                    int(item["seq"]), str(item["at"]), str(item["digest"]), str(item["signature"]), "checkpoint file"
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} line {number} is damaged") from error
    return found
