"""Models on disk: what may be imported, and how each file is checked before it is loaded."""

from .gates import Gate, Limits
from .gguf import GgufHeader, adapted_architecture, read_header
from .manifest import FileEntry, Manifest
from .store import ModelStore, gguf_weights, selected

__all__ = [
    "FileEntry",
    "Gate",
    "GgufHeader",
    "Limits",
    "Manifest",
    "ModelStore",
    "adapted_architecture",
    "gguf_weights",
    "read_header",
    "selected",
]
