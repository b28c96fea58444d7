"""Sealing bytes under one or several data keys, and wrapping keys under other keys. Pure: no database, no settings.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces; HKDF-SHA256 (RFC 5869) where several keys become one. What is
sealed under several keys opens only with all of them, so that destroying any one shreds it. The names of the keys stand
in front of the sealed bytes and, with the purpose, are authenticated: bytes moved to another field do not open.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE = 12
_VERSION = b"\x01"
_ID = 16
MAX_KEYS = 255


class Damaged(ValueError):
    """Sealed bytes that do not open with their own keys: changed, cut, or moved from elsewhere."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key with its name. Never printed."""

    id: UUID
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


def new_secret() -> bytes:
    return os.urandom(KEY_BYTES)


@lru_cache(maxsize=8)
def master(secret: str) -> DataKey:
    """The key-encryption key that a secret text stands for; its name is derived too, so that a wrapped key says which
    master wrapped it."""
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES + _ID, salt=None, info=b"assistant.vault.master").derive(
        secret.encode()
    )
    return DataKey(UUID(bytes=derived[KEY_BYTES:]), derived[:KEY_BYTES])


def seal(data: bytes, keys: Sequence[DataKey], purpose: bytes) -> bytes:
    """The data, readable only with every one of the keys."""
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"seal under 1 to {MAX_KEYS} keys, not {len(keys)}")
    head = _VERSION + bytes([len(keys)]) + b"".join(key.id.bytes for key in keys)
    nonce = os.urandom(_NONCE)
    return head + nonce + _cipher(keys).encrypt(nonce, data, head + purpose)


def names(sealed: bytes) -> list[UUID]:
    """Which keys open these bytes. Raises Damaged."""
    if len(sealed) < 2 or sealed[:1] != _VERSION or sealed[1] == 0 or len(sealed) < 2 + sealed[1] * _ID + _NONCE:
        raise Damaged("these bytes were not sealed here")
    return [UUID(bytes=sealed[2 + at * _ID : 2 + (at + 1) * _ID]) for at in range(sealed[1])]


def open_sealed(sealed: bytes, keys: Sequence[DataKey], purpose: bytes) -> bytes:
    """The data again; `keys` as `names` lists them. Raises Damaged."""
    end = 2 + len(keys) * _ID
    try:
        return _cipher(keys).decrypt(
            sealed[end : end + _NONCE], memoryview(sealed)[end + _NONCE :], sealed[:end] + purpose
        )
    except (InvalidTag, ValueError) as error:
        raise Damaged("sealed bytes do not open: they were changed or moved") from error


Opener = Callable[[bytes, bytes], bytes]
_ONE = _VERSION + b"\x01"
_BODY = 2 + _ID + _NONCE


def single_name(sealed: bytes) -> bytes:
    """The name of the one key that opens these bytes; empty when there are several, or none."""
    return sealed[2 : 2 + _ID] if sealed[:2] == _ONE and len(sealed) >= _BODY else b""


def opener(key: DataKey) -> Opener:
    """`open_sealed` for what one key alone opens, without the detours: it runs for every value of every row."""
    decrypt = AESGCM(key.secret).decrypt

    def open_with(sealed: bytes, purpose: bytes) -> bytes:
        try:
            return decrypt(sealed[2 + _ID : _BODY], sealed[_BODY:], sealed[: 2 + _ID] + purpose)
        except InvalidTag as error:
            raise Damaged("sealed bytes do not open: they were changed or moved") from error

    return open_with


def wrap(secret: bytes, *, name: UUID, under: DataKey) -> bytes:
    """A key's secret sealed under another key, bound to the key's name."""
    return seal(secret, [under], name.bytes)


def unwrap(wrapped: bytes, *, name: UUID, under: DataKey) -> bytes:
    """Raises Damaged."""
    return open_sealed(wrapped, [under], name.bytes)


def _cipher(keys: Sequence[DataKey]) -> AESGCM:
    if len(keys) == 1:
        return _single(keys[0].secret)
    joined = b"".join(key.secret for key in keys)
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"assistant.vault.joined").derive(joined))


@lru_cache(maxsize=64)  # each takes 2.7 KB and holds a secret
def _single(secret: bytes) -> AESGCM:
    return AESGCM(secret)
