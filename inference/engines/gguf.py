"""A GGUF file answering many people at once: llama.cpp computes, the same batch as for other models schedules.

Knows chat templates (run in transformers' sandbox, and only one whose hash the caller names), the way from bytes to
characters, and how much memory is wise. The C interface is `llama`'s, scheduling and fairness are `batching`'s.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from inference.engines.base import Message
from inference.engines.batching import BatchingEngine
from inference.engines.decoding import THINK_CLOSE, THINK_OPEN
from inference.engines.llama import LlamaModel, LlamaRunner
from inference.engines.lookup import MOST
from inference.engines.running import BatchOptions
from inference.engines.transcript import plain
from inference.errors import EngineUnavailable, ModelCorrupt, OutOfMemory
from inference.store import GgufHeader, adapters, gguf_adapter, gguf_weights, read_header

HEADROOM = 1.1  # weights are read into memory as they are; some are put into another order
_WORK_BYTES = 2**28  # what a step needs beside weights and cache
_CACHE_BYTES = 2**31
_LEAST_TOKENS = 512
_ROWS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of this machine a model may have. `needed` is bytes in all."""

    options: BatchOptions
    context: int
    cells: int
    needed: int


def plan(header: GgufHeader, *, weight_bytes: int, free: int, rows: int = _ROWS) -> Plan:
    """A quarter of what the weights leave goes to running answers, a sixteenth to kept prompts. Raises OutOfMemory."""
    rest = free - int(weight_bytes * HEADROOM) - _WORK_BYTES
    token = max(1, header.token_bytes)
    cells = min(rows * (header.context + MOST), min(rest // 4, _CACHE_BYTES) // token)
    if cells < min(_LEAST_TOKENS, header.context):
        needed = int(weight_bytes * HEADROOM) + _WORK_BYTES + 4 * _LEAST_TOKENS * token
        raise OutOfMemory(
            f"The model needs about {needed / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free.",
            hint="Choose a smaller model or a file with fewer bits per weight, or free memory.",
        )
    options = BatchOptions(rows=rows, cache_bytes=cells * token, prefix_bytes=max(0, min(rest // 16, 2**29)))
    needed = int(weight_bytes * HEADROOM) + _WORK_BYTES + options.cache_bytes
    return Plan(options, min(header.context, cells - MOST), cells, needed)


def inspect(folder: Path) -> tuple[GgufHeader, int]:
    """(head, bytes on disk) of the model in a folder, its adapter included; nothing is loaded. Raises ModelNotFound,
    ModelCorrupt."""
    parts, adapter = gguf_weights(folder), gguf_adapter(folder)
    return read_header(parts[0]), sum(part.stat().st_size for part in [*parts, *([adapter] if adapter else [])])


class GgufEngine(BatchingEngine):
    """Streams answers of a GGUF model to many threads at once. `close` ends the thread and frees the model."""

    name = "gguf"

    def __init__(
        self,
        folder: Path,
        *,
        template_sha256: str | None = None,
        options: BatchOptions | None = None,
        free: int | None = None,
        adapter: Path | None = None,
    ) -> None:
        """Load the model in `folder`. `template_sha256` pins its chat template, `free` is memory it may take, `adapter`
        a GGUF file with a LoRA adapter to put on top; else the one that the folder holds, if it does.

        Raises EngineUnavailable (llama.cpp is not installed), ModelNotFound, ModelCorrupt, OutOfMemory.
        """
        header, size = inspect(folder)
        path, template = gguf_weights(folder)[0], header.chat_template
        if template_sha256 is not None and template_sha256 != header.template_sha256:
            raise ModelCorrupt(
                f"{path.name}: the chat template is not the one that was imported",
                file=path.name,
                hint="Remove the model and import it again from a trusted copy.",
            )
        memory = int(psutil.virtual_memory().available) if free is None else free
        rows = options.rows if options else _ROWS
        planned = plan(header, weight_bytes=size, free=memory, rows=rows)
        adapter = adapter or gguf_adapter(folder)
        if adapter is not None:
            adapters.check_gguf(adapter, folder)
        model = LlamaModel(path, adapter)
        options = options or planned.options
        if model.recurrent:  # their state cannot be cut back to an earlier token
            options = BatchOptions(options.rows, options.prefill_tokens, options.cache_bytes, 0, 0)
        cells = min(planned.cells, max(1, options.cache_bytes // max(1, header.token_bytes)))
        try:
            runner = LlamaRunner(
                model,
                rows=options.rows,
                cells=cells,
                outputs=max(options.rows, options.lookup_rows * (MOST + 1)),
                batch=options.prefill_tokens,
                token_bytes=max(1, header.token_bytes),
            )
        except BaseException:
            model.close()
            raise
        context = min(planned.context, max(1, cells - MOST))
        codec = GgufCodec(folder.name, model, template=template, context=context)
        self.bytes = model.bytes
        self._begin(f"{folder.name} ({header.quantization})", codec, runner, options)


class GgufCodec:
    """Messages to ids by the file's own template and vocabulary, ids to characters by their bytes."""

    def __init__(self, name: str, model: LlamaModel, *, template: str, context: int) -> None:
        self.name, self.context = name, context
        self.may_think = THINK_CLOSE in template
        self.ends = model.ends
        self._model = model
        self._template = template
        self._words: dict[str, Any] = {"bos_token": model.word(model.first), "eos_token": model.word(model.last)}
        tags = {text: model.encode(text) for text in (THINK_OPEN, THINK_CLOSE)}
        self._tags = {ids[0]: text for text, ids in tags.items() if len(ids) == 1}

    def render(self, messages: tuple[Message, ...]) -> str:
        """Raises EngineUnavailable when the template does not take these messages."""
        if not self._template:
            return plain(messages)
        from jinja2 import TemplateError

        try:
            try:
                return self._rendered(messages)
            except TemplateError:  # some families know no system message: it goes before the first question
                return self._rendered(_without_system(messages))
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise EngineUnavailable(
                f"The chat template of {self.name} cannot be used: {error}", hint="Choose another model."
            ) from error

    def begin(self, text: str) -> list[int]:
        ids = self._model.encode(text)
        if self._model.adds_first and ids[:1] != [self._model.first]:
            ids.insert(0, self._model.first)
        return ids

    def encode(self, text: str) -> list[int]:
        return self._model.encode(text)

    def decoder(self, prompt: list[int]) -> Callable[[int], str]:
        whole = codecs.getincrementaldecoder("utf-8")(errors="replace")

        def decode(token: int) -> str:
            if text := self._tags.get(token):
                return whole.decode(b"", final=True) + text  # some files mark the tags as control tokens
            return whole.decode(self._model.piece(token))

        return decode

    def _rendered(self, messages: tuple[Message, ...]) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        turns = [{"role": message.role, "content": message.content} for message in messages]
        found: Any = render_jinja_template(
            conversations=[turns], chat_template=self._template, add_generation_prompt=True, **self._words
        )
        return str(found[0][0])


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    rules = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    if rules and rest:
        rest[0] = Message(rest[0].role, f"{rules}\n\n{rest[0].content}")
    return tuple(rest)
