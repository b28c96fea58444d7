"""One sequence on its way from token ids to deltas: whole characters, thinking apart, stop strings, limits.

Shared by the engines that run a model in this process. Knows one sequence. Does not know how its tokens were computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from inference.config import GenerationOptions
from inference.engines.base import Delta, FinishReason, Message
from inference.engines.decoding import THINK_CLOSE, THINK_OPEN, StopFilter, ThinkingSplitter
from inference.errors import PromptTooLong

if TYPE_CHECKING:
    from inference.loading import LoadedModel

END_THINKING = f"\n{THINK_CLOSE}\n\n"
_ROOM = 16  # tokens that must be left for an answer


class Codec(Protocol):
    """A model's way between messages, text and token ids. `context` is the longest sequence in tokens."""

    name: str
    context: int
    may_think: bool  # of the reasoning kind
    ends: frozenset[int]  # ids that end an answer

    def render(self, messages: tuple[Message, ...]) -> str:
        """The chat template's rendering, ready for the model to go on."""
        ...

    def begin(self, text: str) -> list[int]:
        """The ids of a rendered prompt."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of text in the middle of a sequence."""
        ...

    def decoder(self, prompt: list[int]) -> Callable[[int], str]:
        """From one id after another to whole characters: a token that ends inside one waits for the next."""
        ...


class HubCodec:
    """The codec of a model in Hugging Face's format."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.name, self.context = loaded.name, loaded.context
        self.may_think = THINK_CLOSE in str(loaded.tokenizer.chat_template or "")
        self.ends = end_tokens(loaded)
        self._loaded = loaded
        table: Any = loaded.model.get_input_embeddings()
        words = int(table.weight.shape[0])
        self._words = words if len(loaded.tokenizer) > words else None  # marks beyond have no row in the table

    def render(self, messages: tuple[Message, ...]) -> str:
        return render(self._loaded, messages)

    def begin(self, text: str) -> list[int]:
        return self.encode(text)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids if self._words is None else [token for token in ids if token < self._words]

    def decoder(self, prompt: list[int]) -> Callable[[int], str]:
        return _Detokenizer(self._loaded, prompt)


def render(loaded: LoadedModel, messages: tuple[Message, ...]) -> str:
    """The chat template's rendering, ready for the model to go on."""
    tokenizer = loaded.tokenizer
    if tokenizer.chat_template:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    return plain(messages)


def plain(messages: tuple[Message, ...]) -> str:
    """A prompt for a model that has no template."""
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages) + "\n\nassistant: "


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """Ids that end an answer, by the generation defaults and the tokenizer."""
    ends: set[int] = set()
    for value in (loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id):
        if isinstance(value, int):
            ends.add(value)
        elif value:
            ends.update(value)
    return frozenset(ends)


class Transcript:
    """Push one token after another; `reason` is set when the sequence has ended."""

    def __init__(self, codec: Codec, messages: tuple[Message, ...], options: GenerationOptions) -> None:
        """Raises PromptTooLong."""
        text = codec.render(messages)
        self.prompt = codec.begin(text)
        limit = codec.context - min(options.max_new_tokens, _ROOM)
        if len(self.prompt) >= limit:
            raise PromptTooLong(
                f"The prompt has {len(self.prompt)} tokens; {limit} fit into {codec.name}.",
                tokens=len(self.prompt),
                limit=limit,
                hint="Ask a shorter question or show fewer passages.",
            )
        inside = text.rstrip().endswith(THINK_OPEN)
        self._splitter = ThinkingSplitter(begins_inside=inside, may_think=codec.may_think)
        self._stop = StopFilter(options.stop)
        self._text = codec.decoder(self.prompt)
        self._codec = codec
        self._options = options
        self._thought = 0
        self.produced = 0
        self.reason: FinishReason | None = None

    @property
    def most(self) -> int:
        """Tokens that prompt and answer may take together."""
        wanted = self._options.max_new_tokens + self._options.max_thinking_tokens
        return min(self._codec.context, len(self.prompt) + wanted)

    def push(self, token: int) -> tuple[list[Delta], list[int]]:
        """(what to show, tokens to feed next). The latter is empty when the sequence has ended; it is more than the
        token itself when thinking was cut short."""
        if token in self._codec.ends:
            return self.finish("stop"), []
        self.produced += 1
        inside = self._splitter.thinking
        self._thought += inside
        shown = self._shown(self._text(token))
        answered = self.produced - self._thought
        if self._stop.stopped:
            return shown + self.finish("stop"), []
        if len(self.prompt) + self.produced >= self.most or answered >= self._options.max_new_tokens:
            return shown + self.finish("length"), []
        following = [token]
        if inside and self._splitter.thinking and self._thought >= self._options.max_thinking_tokens:
            following += self._codec.encode(END_THINKING)
            shown += self._shown(END_THINKING)
        return shown, following

    def finish(self, reason: FinishReason) -> list[Delta]:
        """End here; what was still held back."""
        self.reason = reason
        shown = []
        for delta in self._splitter.flush(cut=reason != "stop"):
            shown += self._filtered(delta)
        if rest := self._stop.flush():
            shown.append(Delta("text", rest))
        return shown

    def _shown(self, text: str) -> list[Delta]:
        return [kept for delta in self._splitter.push(text) for kept in self._filtered(delta)]

    def _filtered(self, delta: Delta) -> list[Delta]:
        text = self._stop.push(delta.text) if delta.kind == "text" else delta.text
        return [Delta(delta.kind, text)] if text else []


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
