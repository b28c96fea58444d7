"""A causal language model answering by token: one loop, streamed, cancellable within a step.

Knows: chat templates (data, rendered by transformers in its sandbox), the key-value cache, deadlines. Does not know
where the model came from (`inference.loading`) or what the prompt says. One sequence runs at a time; callers wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from inference.engines.base import Delta, Finish, FinishReason, GenerationRequest, Message
from inference.engines.decoding import THINK_CLOSE, THINK_OPEN, Sampler, StopFilter, ThinkingSplitter
from inference.errors import EngineUnavailable, OutOfMemory, PromptTooLong

if TYPE_CHECKING:
    import torch

    from inference.loading import LoadedModel

END_THINKING = f"\n{THINK_CLOSE}\n\n"
PREFILL_CHUNK = 512  # tokens per step while the prompt is read: a cancel waits for one of these at most


class TransformersEngine:
    """Streams answers of a loaded model. Safe to call from several threads; `close` frees the model."""

    name = "transformers"
    needs_prompt = True

    def __init__(self, loaded: LoadedModel) -> None:
        self.model = f"{loaded.name} ({loaded.quantization})"
        self._loaded: LoadedModel | None = loaded
        self._turn = threading.Lock()
        template = loaded.tokenizer.chat_template or ""
        self._may_think = THINK_CLOSE in str(template)

    @property
    def context_tokens(self) -> int:
        """Longest sequence in tokens, prompt and answer together."""
        return self._live().context

    def count_tokens(self, text: str) -> int:
        return len(self._live().tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(self, messages: tuple[Message, ...]) -> str:
        """The chat template's rendering, ready for the model to go on."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        tokenizer = self._live().tokenizer
        if tokenizer.chat_template:
            return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns) + "\n\nassistant: "

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

        loaded, options = self._live(), request.options
        text = self.prompt(request.messages)
        ids: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        limit = loaded.context - min(options.max_new_tokens, 16)
        if len(ids) >= limit:
            raise PromptTooLong(
                f"The prompt has {len(ids)} tokens; {limit} fit into {loaded.name}.",
                tokens=len(ids),
                limit=limit,
                hint="Ask a shorter question or show fewer passages.",
            )
        splitter = ThinkingSplitter(begins_inside=text.rstrip().endswith(THINK_OPEN), may_think=self._may_think)
        stop = StopFilter(options.stop)
        sample = Sampler(options, loaded.device)
        detokenize = _Detokenizer(loaded, ids)
        ends = _end_tokens(loaded)
        produced = thought = 0
        reason: FinishReason = "length"

        def stopping() -> FinishReason | None:
            if cancelled():
                return "cancelled"
            return "deadline" if deadline and time.monotonic() > deadline else None

        try:
            # Not a decorator or one long block: grad mode is per thread, and a generator may be resumed in another.
            cache: object | None = None
            logits: torch.Tensor | None = None
            for start in range(0, len(ids), PREFILL_CHUNK):
                if found := stopping():
                    yield Finish(found, len(ids), 0)
                    return
                logits, cache = _step(loaded, ids[start : start + PREFILL_CHUNK], cache)
            while produced < options.max_new_tokens + options.max_thinking_tokens:
                if found := stopping():
                    reason = found
                    break
                assert logits is not None
                token = sample(logits)
                if token in ends:
                    reason = "stop"
                    break
                produced += 1
                inside = splitter.thinking
                thought += inside
                for delta in splitter.push(detokenize(token)):
                    shown = stop.push(delta.text) if delta.kind == "text" else delta.text
                    if shown:
                        yield Delta(delta.kind, shown)
                if stop.stopped:
                    reason = "stop"
                    break
                if len(ids) + produced >= loaded.context or produced - thought >= options.max_new_tokens:
                    break
                following = [token]
                if inside and splitter.thinking and thought >= options.max_thinking_tokens:
                    following += loaded.tokenizer(END_THINKING, add_special_tokens=False)["input_ids"]
                    for delta in splitter.push(END_THINKING):
                        yield delta
                logits, cache = _step(loaded, following, cache)
        except OutOfMemoryError as error:
            cuda.empty_cache()
            raise OutOfMemory("The answer does not fit into memory.", hint="Ask again or choose nf4.") from error
        for delta in splitter.flush():
            shown = stop.push(delta.text) if delta.kind == "text" else delta.text
            if shown:
                yield Delta(delta.kind, shown)
        if rest := stop.flush():
            yield Delta("text", rest)
        yield Finish(reason, len(ids), produced)


def _step(loaded: LoadedModel, ids: list[int], cache: object | None) -> tuple[torch.Tensor, object]:
    """Run the model over new tokens; (logits of the last position, cache)."""
    import torch

    with torch.inference_mode():
        tokens = torch.tensor([ids], device=loaded.device)
        out = loaded.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[0, -1], out.past_key_values


def _end_tokens(loaded: LoadedModel) -> set[int]:
    ends: set[int] = set()
    for value in (loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id):
        if isinstance(value, int):
            ends.add(value)
        elif value:
            ends.update(value)
    return ends


class _Detokenizer:
    """Whole characters only: a token that ends inside one waits for the next."""

    def __init__(self, loaded: LoadedModel, prompt: list[int]) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = loaded.tokenizer._tokenizer  # the Rust tokenizer DecodeStream needs
        self._stream = DecodeStream(ids=prompt[-8:], skip_special_tokens=True)
        self._special_thinking = {
            token_id: text
            for text in (THINK_OPEN, THINK_CLOSE)
            if (token_id := self._tokenizer.token_to_id(text)) is not None
        }

    def __call__(self, token: int) -> str:
        if text := self._special_thinking.get(token):
            return text  # some tokenizers mark the tags as special; they must not be skipped
        return self._stream.step(self._tokenizer, token) or ""
