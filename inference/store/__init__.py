"""Models on disk: what may be imported, and how each file is checked before it is loaded."""

from .manifest import FileEntry, Manifest
from .store import ModelStore

__all__ = ["FileEntry", "Manifest", "ModelStore"]
