"""Faults of the vault.

VaultError
├── KeyDestroyed      nothing can be sealed for what is being erased
├── MasterKeyMissing  the master key that wrapped the data keys is not among the secrets
└── (envelope.Damaged, a ValueError: bytes that do not open)
"""

from __future__ import annotations


class VaultError(Exception):
    """Base of all."""


class KeyDestroyed(VaultError):
    """The key of what this belongs to is gone: it was erased meanwhile."""


class MasterKeyMissing(VaultError):
    """Says what to do in its message."""
