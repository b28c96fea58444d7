"""Models on disk: what may be imported, and how each file is checked before it is loaded."""

from .gguf import GgufHeader, read_header
from .manifest import FileEntry, Manifest
from .store import ModelStore, gguf_weights

__all__ = ["FileEntry", "GgufHeader", "Manifest", "ModelStore", "gguf_weights", "read_header"]
