"""Which secret wraps the roots: VAULT_KEY (or VAULT_KEY_FILE), else a file made once in the data directory.

Read anew each time a key is wrapped, so that a rotation reaches running processes. The key before the present one
(VAULT_KEY_PREVIOUS, or the file beside) still opens what it wrapped until `manage.py vault rotate` is through.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from uuid import UUID

from django.conf import settings

from . import envelope
from .errors import MasterKeyMissing

_NAME = "vault_key"
_HINT = (
    "Give VAULT_KEY (or VAULT_KEY_FILE) the secret this installation was made with; after a change of keys, "
    "VAULT_KEY_PREVIOUS the one before. Without it nothing at rest can be read."
)


def current() -> envelope.DataKey:
    """The master key to wrap with now."""
    secret = settings.VAULT_KEY or _read(_path())
    if not secret:
        raise MasterKeyMissing(f"VAULT_KEY is not set and its file is gone. {_HINT}")
    return envelope.master(secret)


def named(name: UUID) -> envelope.DataKey:
    """The master key of that name, present or previous. Raises MasterKeyMissing."""
    for secret in (settings.VAULT_KEY, settings.VAULT_KEY_PREVIOUS, _read(_path()), _read(_previous())):
        if secret and (key := envelope.master(secret)).id == name:
            return key
    raise MasterKeyMissing(f"The data keys were wrapped with another master key. {_HINT}")


def in_file() -> bool:
    """Whether the secret is the generated file (and may be rotated by us)."""
    return not settings.VAULT_KEY


def begin_rotation() -> None:
    """A new secret in the file; the present one is kept beside it. Does nothing when a rotation was left half done."""
    if _previous().exists():
        return
    _write(_previous(), _read(_path()))
    _write(_path(), secrets.token_urlsafe(48))


def end_rotation() -> bool:
    """Destroy the previous secret; False when there was none."""
    path = _previous()
    if not path.exists():
        return False
    with path.open("r+b") as file:  # overwritten first: on some disks that still means something
        file.write(os.urandom(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    return True


def _path() -> Path:
    return Path(settings.SECRETS_DIR, _NAME)


def _previous() -> Path:
    return Path(settings.SECRETS_DIR, f"{_NAME}_previous")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _write(path: Path, secret: str) -> None:
    part = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
