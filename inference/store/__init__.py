"""Models on disk: what may be imported, and how each file is checked before it is loaded."""

from .adapters import Lora
from .gates import Gate, Limits
from .gguf import GgufHeader, read_header
from .manifest import Adapter, FileEntry, Manifest
from .store import ADAPTER_FILE, ModelStore, gguf_adapter, gguf_weights, selected

__all__ = [
    "ADAPTER_FILE",
    "Adapter",
    "FileEntry",
    "Gate",
    "GgufHeader",
    "Limits",
    "Lora",
    "Manifest",
    "ModelStore",
    "gguf_adapter",
    "gguf_weights",
    "read_header",
    "selected",
]
