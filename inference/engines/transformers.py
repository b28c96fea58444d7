"""A causal language model of any kind, answering by token: one loop, streamed, cancellable within a step.

For the architectures that `engines.batching` cannot run; one sequence runs at a time and callers wait. Knows the
library's own key-value cache and deadlines. Does not know where the model came from (`inference.loading`) or what the
prompt says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from inference.engines.base import Delta, Finish, FinishReason, GenerationRequest, Message
from inference.engines.decoding import Sampler
from inference.engines.transcript import HubCodec, Transcript, render
from inference.errors import EngineUnavailable, OutOfMemory

if TYPE_CHECKING:
    import torch

    from inference.loading import LoadedModel

PREFILL_CHUNK = 512  # tokens per step while the prompt is read: a cancel waits for one of these at most


class TransformersEngine:
    """Streams answers of a loaded model. Safe to call from several threads; `close` frees the model."""

    name = "transformers"
    needs_prompt = True

    def __init__(self, loaded: LoadedModel) -> None:
        self.model = f"{loaded.name} ({loaded.quantization})"
        self._loaded: LoadedModel | None = loaded
        self._turn = threading.Lock()

    @property
    def context_tokens(self) -> int:
        """Longest sequence in tokens, prompt and answer together."""
        return self._live().context

    @property
    def reasons(self) -> bool:
        return HubCodec(self._live()).may_think

    def count_tokens(self, text: str) -> int:
        return len(self._live().tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(self, messages: tuple[Message, ...]) -> str:
        """The chat template's rendering, ready for the model to go on."""
        return render(self._live(), messages)

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        """Yield deltas, then one Finish. Raises PromptTooLong, OutOfMemory, EngineUnavailable (closed)."""
        began = time.monotonic()
        deadline = began + request.options.deadline_s if request.options.deadline_s else None
        while not self._turn.acquire(timeout=0.05):
            if cancelled():
                yield Finish("cancelled")
                return
            if deadline and time.monotonic() > deadline:
                yield Finish("deadline")
                return
        try:
            yield from self._run(request, cancelled, deadline)
        finally:
            self._turn.release()

    def close(self) -> None:
        with self._turn:
            self._loaded = None

    def _live(self) -> LoadedModel:
        if self._loaded is None:
            raise EngineUnavailable("The model was unloaded.", hint="Ask again; the active model answers.")
        return self._loaded

    def _run(
        self, request: GenerationRequest, cancelled: Callable[[], bool], deadline: float | None
    ) -> Iterator[Delta | Finish]:
        from torch import OutOfMemoryError, cuda

        loaded = self._live()
        transcript = Transcript(HubCodec(loaded), request.messages, request.options)
        sample = Sampler(request.options, loaded.device)
        count = len(transcript.prompt)

        def stopping() -> FinishReason | None:
            if cancelled():
                return "cancelled"
            return "deadline" if deadline and time.monotonic() > deadline else None

        try:
            # Not a decorator or one long block: grad mode is per thread, and a generator may be resumed in another.
            cache: object | None = None
            logits: torch.Tensor | None = None
            pending = transcript.prompt
            while pending:
                for start in range(0, len(pending), PREFILL_CHUNK):
                    if found := stopping():
                        yield from transcript.finish(found)
                        yield Finish(found, count, transcript.produced)
                        return
                    logits, cache = _step(loaded, pending[start : start + PREFILL_CHUNK], cache)
                assert logits is not None
                shown, pending = transcript.push(sample(logits))
                yield from shown
        except OutOfMemoryError as error:
            cuda.empty_cache()
            raise OutOfMemory("The answer does not fit into memory.", hint="Ask again or choose nf4.") from error
        yield Finish(transcript.reason or "stop", count, transcript.produced)


def _step(loaded: LoadedModel, ids: list[int], cache: object | None) -> tuple[torch.Tensor, object]:
    """Run the model over new tokens; (logits of the last position, cache)."""
    import torch

    with torch.inference_mode():
        tokens = torch.tensor([ids], device=loaded.device)
        out = loaded.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[0, -1], out.past_key_values
