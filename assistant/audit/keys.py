"""The keys of the audit log, all derived from one secret, and what is done with each.

Knows: HKDF (RFC 5869), AES-256-GCM (NIST SP 800-38D), Ed25519 (RFC 8032). Does not know: where the secret comes from,
the database.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import chain

_NONCE_BYTES = 12
_CHECKPOINT_DOMAIN = b"assistant.audit.checkpoint\n"


class ContentDamaged(ValueError):
    """The stored text does not decrypt: changed, or written under another key."""


@dataclass(frozen=True, slots=True)
class Keys:
    mac: bytes
    content: bytes
    signing: Ed25519PrivateKey

    @property
    def public(self) -> str:
        """The public key of checkpoints, 64 hexadecimal digits: what an auditor keeps elsewhere."""
        return self.signing.public_key().public_bytes_raw().hex()


@lru_cache(maxsize=4)
def derive(secret: str) -> Keys:
    """Three independent keys from the one secret."""

    def part(purpose: str) -> bytes:
        info = f"assistant.audit.{purpose}".encode()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode())

    return Keys(part("mac"), part("content"), Ed25519PrivateKey.from_private_bytes(part("signing")))


def commit(content: dict[str, str], salt: bytes) -> str:
    """What the chain holds of a text: it tells nothing once text and salt are gone."""
    return commit_bytes(chain.canonical(content), salt)


def commit_bytes(canonical: bytes, salt: bytes) -> str:
    return hmac.digest(salt, canonical, "sha256").hex()


def new_salt() -> bytes:
    return os.urandom(32)


def encrypt(keys: Keys, *, seq: int, content: dict[str, str]) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(keys.content).encrypt(nonce, chain.canonical(content), str(seq).encode())


def decrypt(keys: Keys, *, seq: int, ciphertext: bytes) -> bytes:
    """The canonical bytes of the content. Raises ContentDamaged."""
    try:
        return AESGCM(keys.content).decrypt(ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:], str(seq).encode())
    except (InvalidTag, ValueError) as error:
        raise ContentDamaged(f"the text of event {seq} does not decrypt") from error


def sign(keys: Keys, statement: dict[str, Any]) -> str:
    return keys.signing.sign(_CHECKPOINT_DOMAIN + chain.canonical(statement)).hex()


def signed(public: str, statement: dict[str, Any], signature: str) -> bool:
    """Whether the holder of the private key to `public` signed exactly this statement."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), _CHECKPOINT_DOMAIN + chain.canonical(statement))
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(public: str) -> str:
    """Sixteen hexadecimal digits to compare by eye."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]
