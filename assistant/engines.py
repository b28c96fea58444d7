"""The composition root: settings become library objects, lazily, one of each per process.

Knows: both libraries and the settings. Does not know: documents, people or requests. Only workers and commands call
the functions that load; the heavy libraries are imported inside them so that the web process never pays for them.
"""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from django.conf import settings

if TYPE_CHECKING:
    from inference.engines.base import Engine
    from inference.evidence import EvidenceScorer
    from inference.quantization import Quantization
    from inference.store import ModelStore
    from retrieval.embedding import Embedder

logger = logging.getLogger(__name__)
_loading = threading.Lock()


@lru_cache(maxsize=1)
def _load_embedder() -> Embedder:
    from retrieval.embedding import MiniLMEmbedder

    return MiniLMEmbedder.load()


@lru_cache(maxsize=1)
def _load_scorer() -> EvidenceScorer:
    from inference.evidence import EvidenceScorer
    from retrieval.embedding import model_folder

    return EvidenceScorer(_load_embedder().embed, encoder=model_folder())


@lru_cache(maxsize=1)
def _load_engine() -> Engine:
    """The engine that the settings name. A model that cannot be loaded leaves the extractive engine; the log says so."""
    from inference.engines.extractive import ExtractiveEngine
    from inference.errors import InferenceError

    if settings.ENGINE == "extractive" or (settings.ENGINE == "auto" and not settings.MODEL):
        return ExtractiveEngine()
    if settings.ENGINE == "remote":
        return _remote()
    try:
        return _load_language_model()
    except InferenceError as error:
        logger.error("The model %s cannot answer: %s %s Falling back to extractive.", settings.MODEL, error, error.hint)
        return ExtractiveEngine()


def _load_language_model() -> Engine:
    """Verify every file of the model named by MODEL, then load it with the recipe of QUANTIZATION."""
    from inference import loading
    from inference.engines.transformers import TransformersEngine

    models = store()
    models.verify(settings.MODEL)
    return TransformersEngine(
        loading.load(models.folder(settings.MODEL), quantize=cast("Quantization", settings.QUANTIZATION))
    )


def _remote() -> Engine:
    from inference.engines.remote import RemoteEngine, RemoteOptions

    return RemoteEngine(
        RemoteOptions(
            url=settings.REMOTE_URL,
            model=settings.REMOTE_MODEL,
            key=settings.REMOTE_KEY,
            certificate_authority=Path(settings.REMOTE_CA) if settings.REMOTE_CA else None,
            context_tokens=settings.REMOTE_CONTEXT_TOKENS,
        )
    )


def store() -> ModelStore:
    """The models installed on this machine. Light: nothing is loaded."""
    from inference.store import ModelStore

    return ModelStore(settings.MODELS_DIR)


def embedder() -> Embedder:
    """The embedding model of this process (documents and questions alike)."""
    with _loading:
        return _load_embedder()


def scorer() -> EvidenceScorer:
    """Decides which sentences answer a question and whether there is enough evidence."""
    with _loading:
        return _load_scorer()


def engine() -> Engine:
    """The active answering engine."""
    with _loading:
        return _load_engine()


def evidence_threshold() -> float:
    """The probability of "answerable" below which the product says the documents do not say."""
    if settings.EVIDENCE_THRESHOLD:
        return float(settings.EVIDENCE_THRESHOLD)
    from inference.evidence import ANSWERABLE_THRESHOLD

    return ANSWERABLE_THRESHOLD


def warm_up() -> None:
    """Load everything an answer needs and run it once, so that the first person does not wait."""
    vectors = embedder().embed(["warm-up"])
    logger.info("embedding model %s ready (%d dimensions)", embedder().model_id, vectors.shape[1])
    scorer()
    logger.info("engine %s ready (%s)", engine().name, engine().model)
