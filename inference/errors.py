"""The faults this library raises.

InferenceError                 base; ``hint`` says what a person can do, ``retryable`` whether trying again may help
├── ModelNotFound              no model of that name or at that path
├── ModelCorrupt               a file is damaged, altered or of a wrong format (``file`` names it)
├── OutOfMemory                the model or the request does not fit into memory
├── DiskFull                   a model does not fit where it should be kept
├── PromptTooLong              the prompt leaves no room for an answer (``tokens`` of ``limit``)
├── QuantizationRefused        the quantized model is not near enough to the original one
├── WorkbenchError             a training, pruning or evaluation run was asked for what it cannot do
└── EngineUnavailable          the engine cannot answer now (not installed, not loaded, not reachable)

The library knows neither HTTP nor the product: translating these is the caller's work.
"""

from __future__ import annotations


class InferenceError(Exception):
    """Base of all faults of this library; ``str(error)`` is fit to be shown to an administrator."""

    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def in_full(error: BaseException) -> str:
    """What is wrong, and what a person can do where the fault says so; each a sentence of its own."""
    words, hint = str(error).strip(), str(getattr(error, "hint", "")).strip()
    if not (words and hint):
        return words or hint
    ended = words.rstrip("\"'’”»」』)）").endswith((".", "!", "?", "…", "。", "！", "？"))
    return f"{words}{'' if ended else '.'} {hint}"


class ModelNotFound(InferenceError):
    """No model of that name or at that path."""


class ModelCorrupt(InferenceError):
    """A model file is damaged, altered or of a wrong format."""

    def __init__(self, message: str, *, file: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file


class OutOfMemory(InferenceError):
    """The model or the request does not fit into memory."""


class DiskFull(InferenceError):
    """A model does not fit where it should be kept."""


class PromptTooLong(InferenceError):
    """The prompt has ``tokens`` tokens where ``limit`` fit."""

    def __init__(self, message: str, *, tokens: int, limit: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tokens = tokens
        self.limit = limit


class QuantizationRefused(InferenceError):
    """The quantized model is not near enough to the original, or the recipe does not suit it."""


class WorkbenchError(InferenceError):
    """A run was asked for what it cannot do, or its data or settings do not fit."""


class EngineUnavailable(InferenceError):
    """The engine cannot answer now."""

    retryable = True
