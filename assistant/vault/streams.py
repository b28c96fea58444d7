"""Files sealed piece by piece, so that a large one needs little memory and is never readable on the disk.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, 2015) over AES-256-GCM: pieces of one mebibyte, a nonce
of a random prefix, the piece's number and whether it is the last. Cut, swapped or lengthened files do not open.
Knows bytes and a key; not where files lie or whose they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .envelope import Damaged

MAGIC = b"assistant sealed file 1\n"
PIECE = 1024 * 1024
_PREFIX = 7
_TAG = 16


class SealedWriter:
    """Writes to an open file what `pieces` reads back. `finish` must be called: without it the file does not open."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        self._file = file
        self._cipher = AESGCM(key)
        self._prefix = os.urandom(_PREFIX)
        self._number = 0
        self._waiting = bytearray()
        file.write(MAGIC + self._prefix)

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PIECE):
            self._waiting += view[start : start + PIECE]
            if len(self._waiting) > PIECE:  # a full piece stays back: it may be the last
                self._put(bytes(self._waiting[:PIECE]), last=False)
                del self._waiting[:PIECE]
        return len(view)

    def finish(self) -> None:
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last), piece, MAGIC))
        self._number += 1


def pieces(file: BinaryIO, key: bytes) -> Iterator[bytes]:
    """The plain bytes of a sealed file, in order. Raises Damaged; what came before then must be thrown away."""
    head = file.read(len(MAGIC) + _PREFIX)
    if head[: len(MAGIC)] != MAGIC or len(head) < len(MAGIC) + _PREFIX:
        raise Damaged("the file was not sealed here")
    cipher, prefix = AESGCM(key), head[len(MAGIC) :]
    number, piece = 0, file.read(PIECE + _TAG)
    while True:
        following = file.read(PIECE + _TAG)
        try:
            yield cipher.decrypt(_nonce(prefix, number, not following), piece, MAGIC)
        except InvalidTag as error:
            raise Damaged("the sealed file does not open: it was changed or cut") from error
        if not following:
            return
        number, piece = number + 1, following


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])
