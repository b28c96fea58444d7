"""The composition root: settings become library objects, lazily, one of each per process.

Knows: both libraries and the settings. Does not know: documents, people or requests. Only workers and commands call
the functions that load; the heavy libraries are imported inside them so that the web process never pays for them.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings
from django.db import connections
from django.utils import timezone

from assistant.models import ActivationState, ModelActivation

if TYPE_CHECKING:
    from inference.engines.base import Engine
    from inference.evidence import EvidenceScorer
    from inference.store import ModelStore
    from retrieval.cross_encoding import PairScorer
    from retrieval.embedding import Embedder

_Fact = TypeVar("_Fact")

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
def _load_reranker(folder: str) -> PairScorer | None:
    if not folder:
        return None
    from retrieval.cross_encoding import CrossEncoderReranker
    from retrieval.errors import RerankerError

    try:
        return CrossEncoderReranker.load(Path(folder))
    except RerankerError as error:
        logger.error("No cross-encoder reorders what search finds: %s. %s", error, error.hint)
        return None


@dataclass(frozen=True, slots=True)
class _Choice:
    """What should answer: the newest activation, or the settings when there is none (`row` 0)."""

    row: int
    engine: str
    model: str
    digest: str
    quantization: str


@dataclass(frozen=True, slots=True)
class StandsIn:
    """The model in whose place quotations answer, and the name of the error that kept it from being loaded."""

    engine: str
    model: str
    error: str


class _Switch:
    """The engine that answers, exchanged for another while the first goes on with what it has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._row = -1
        self._look_again = 0.0
        self._busy = False
        self._retiring: list[Engine] = []  # exchanged, and not closed yet
        self.forgotten = 0  # counts the times that kept prompts had to go

    def engine(self) -> Engine:
        """The active engine. A newer choice is noticed at most LOOK_SECONDS late and loaded in the background."""
        with self._lock:
            if self._engine is None:
                choice = _newest()
                self._engine, self._row = _open(choice), choice.row
                self._look_again = time.monotonic() + LOOK_SECONDS
            elif not self._busy and time.monotonic() >= self._look_again:
                self._look_again = time.monotonic() + LOOK_SECONDS
                choice = _newest()
                if choice.row != self._row:
                    self._busy = True
                    threading.Thread(target=self._exchange, args=(choice,), name="activation", daemon=True).start()
            return self._engine

    def look(self) -> None:
        """Begin to load a newer choice, if there is one and an engine is loaded at all."""
        if self._engine is not None:
            self.engine()

    def reset(self) -> None:
        """Forget the engine: the next call opens what is chosen then (for tests and commands)."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def forget_prompts(self) -> None:
        # without the lock, which is held while a first model is loaded: such a one keeps nothing yet
        self.forgotten += 1
        for engine in (self._engine, *self._retiring):
            if forget := getattr(engine, "forget", None):
                forget()

    def _exchange(self, choice: _Choice) -> None:
        try:
            new = _open(choice)
            with self._lock:
                if old := self._engine:
                    self._retiring.append(old)
                self._engine, self._row = new, choice.row
            logger.info("engine %s answers now (%s)", new.name, new.model)
        finally:
            self._busy = False
            connections.close_all()
        if old is not None:
            # whoever took the old engine from here has its answer by then
            time.sleep(RETIRE_SECONDS)
            old.close()
            self._retiring.remove(old)


LOOK_SECONDS = 3.0
RETIRE_SECONDS = float(settings.ANSWER_DEADLINE_SECONDS) + 5
_switch = _Switch()
_digests: dict[int, str] = {}  # of the files behind each engine that lives, by its id()
_stands_in: dict[int, StandsIn] = {}  # the same, for engines that quote since a model could not be loaded


def _about(known: dict[int, _Fact], engine: Engine, fact: _Fact) -> None:
    known[id(engine)] = fact
    weakref.finalize(engine, known.pop, id(engine), None)


def _newest() -> _Choice:
    row = ModelActivation.objects.order_by("-pk").first()
    if row is not None:
        return _Choice(row.pk, row.engine, row.name, row.digest, row.quantization)
    kind = settings.ENGINE
    if kind == "auto":
        kind = "transformers" if settings.MODEL else "extractive"  # or gguf: the model's files decide, see _local
    return _Choice(0, kind, settings.MODEL, "", settings.QUANTIZATION)


def _open(choice: _Choice) -> Engine:
    """The engine of a choice. A model that cannot be loaded leaves quotations; the log and the row say so."""
    from inference.engines.extractive import ExtractiveEngine
    from inference.errors import InferenceError, in_full

    try:
        engine = _remote() if choice.engine == "remote" else _local(choice)
    except InferenceError as error:
        words = in_full(error)
        logger.error("The model %s cannot answer: %s Falling back to extractive.", choice.model, words)
        _tell(choice, ActivationState.FAILED, words)
        quotes = ExtractiveEngine()
        _about(_stands_in, quotes, StandsIn(choice.engine, choice.model, type(error).__name__))
        return quotes
    _tell(choice, ActivationState.ACTIVE)
    return engine


def _tell(choice: _Choice, state: ActivationState, problem: str = "") -> None:
    if choice.row:
        ModelActivation.objects.filter(pk=choice.row).update(state=state, problem=problem, loaded_at=timezone.now())


def _local(choice: _Choice) -> Engine:
    """Verify every file of the model, then load it as it is stored; a quantized one only when it passed its gate."""
    from inference import loading
    from inference.engines.extractive import ExtractiveEngine
    from inference.engines.local import engine_for
    from inference.errors import EngineUnavailable, ModelCorrupt

    if choice.engine == "extractive":
        return ExtractiveEngine()
    models = store()
    manifest = models.verify(choice.model)
    if choice.digest and manifest.digest != choice.digest:
        raise ModelCorrupt(f"{choice.model} is not the model that was activated.", hint="Activate it again.")
    manifest.check_offered(choice.quantization)
    folder = models.folder(choice.model)
    engine: Engine
    if manifest.kind == "gguf":
        from inference.engines.gguf import GgufEngine

        engine = GgufEngine(folder, template_sha256=manifest.template_sha256)
    elif choice.engine == "gguf":
        raise EngineUnavailable(f"{choice.model} is no GGUF model.", hint="Set ENGINE=transformers or auto.")
    else:
        engine = engine_for(loading.load(folder))
    _about(_digests, engine, manifest.digest)
    return engine


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


def reranker() -> PairScorer | None:
    """The cross-encoder in RERANKER; None when there is none, or when it cannot be used (the log says why)."""
    with _loading:
        return _load_reranker(settings.RERANKER)


def scorer() -> EvidenceScorer:
    """Decides which sentences answer a question and whether there is enough evidence."""
    with _loading:
        return _load_scorer()


def engine() -> Engine:
    """The active answering engine; ask for it anew for every answer."""
    return _switch.engine()


def look() -> None:
    """Begin to load the model that was chosen since, without waiting for somebody to ask. Raises DatabaseError."""
    _switch.look()


def forget_prompts() -> None:
    """Have the engine, if one is loaded, and those it took the place of, let go of prompts they kept: something that
    stood in them was erased."""
    _switch.forget_prompts()


def forgotten() -> int:
    """How often that was so: what was read from the index before the last time must be kept by no engine."""
    return _switch.forgotten


def digest_of(engine: Engine) -> str:
    """Digest of the files behind an engine, as its manifest names them; "" where there are none here."""
    return _digests.get(id(engine), "")


def stands_in(engine: Engine) -> StandsIn | None:
    """The model that should answer and could not be loaded, where this engine quotes in its place."""
    return _stands_in.get(id(engine))


def open_beside(name: str, quantization: str) -> Engine:
    """An installed model beside the one that answers, to be measured; the caller closes it. Raises InferenceError."""
    manifest = store().verify(name)
    kind = "gguf" if manifest.kind == "gguf" else "transformers"
    return _local(_Choice(0, kind, name, manifest.digest, quantization))


def warm_up() -> None:
    """Load everything an answer needs and run it once, so that the first person does not wait."""
    vectors = embedder().embed(["warm-up"])
    logger.info("embedding model %s ready (%d dimensions)", embedder().model_id, vectors.shape[1])
    scorer()
    if (pairs := reranker()) is not None:
        pairs.scores("warm-up", ["warm-up"])
        logger.info("cross-encoder %s ready", pairs.model_id)
    logger.info("engine %s ready (%s)", engine().name, engine().model)
