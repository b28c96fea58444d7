"""Which engine runs a loaded model: the batching one where its arithmetic is exact, else one answer at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.engines import rows
from inference.engines.batching import BatchingEngine
from inference.engines.running import BatchOptions
from inference.engines.transformers import TransformersEngine

if TYPE_CHECKING:
    from inference.loading import LoadedModel


def engine_for(loaded: LoadedModel, options: BatchOptions | None = None) -> BatchingEngine | TransformersEngine:
    """`options` are for the batching engine; None: what suits the hardware."""
    return BatchingEngine(loaded, options) if rows.supports(loaded) else TransformersEngine(loaded)
