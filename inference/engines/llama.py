"""llama.cpp through its C interface: a model, its vocabulary, and many sequences in one cache.

`LlamaRunner` does for a GGUF file what `rows.RowRunner` does for tensors: the same batch (`engines.batching`) schedules
both. A row is a sequence of llama.cpp's memory; rows trade places by trading numbers. The library is an optional part
of the installation and is imported here only. Knows ids and bytes. Does not know requests, messages or time.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections import deque
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.errors import EngineUnavailable, ModelCorrupt, OutOfMemory

if TYPE_CHECKING:
    import torch

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
HINT = "Run: make gguf"
_LOAD_WHOLE = 0  # read into memory: a file that changes or vanishes later cannot hurt a running worker
_ERROR, _CONTINUED = 4, 5  # llama.cpp's log levels
_STEP = 256  # llama.cpp rounds the length of its memory up to this
logger = logging.getLogger(__name__)
_said: deque[str] = deque(maxlen=5)


def missing() -> str:
    """Why llama.cpp cannot be used here; empty when it can. Loads nothing."""
    try:
        found = version(PACKAGE)
    except PackageNotFoundError:
        return f"GGUF models need {PACKAGE}, which is not installed."
    return "" if found == VERSION else f"{PACKAGE} {found} is installed; this version needs {VERSION}."


@lru_cache(maxsize=1)
def library() -> Any:
    """The C interface, started. Raises EngineUnavailable, which names the command that installs it."""
    if why := missing():
        raise EngineUnavailable(why, hint=HINT)
    try:
        lib: Any = import_module("llama_cpp.llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailable(f"{PACKAGE} cannot be loaded: {error}", hint=HINT) from error
    lib.llama_log_set(_listener(lib), None)
    lib.llama_backend_init()
    return lib


@lru_cache(maxsize=1)
def _listener(lib: Any) -> Any:
    """Keeps llama.cpp's complaints for error messages; the rest of what it says is for debugging."""

    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, words: bytes, _: object) -> None:
        line = words.decode("utf-8", "replace").strip()
        if level == _ERROR and line:
            _said.append(line)
        logger.debug("%s", line)

    return listen


class LlamaModel:
    """Weights and vocabulary of one GGUF file. Safe to use from several threads; `close` frees them."""

    def __init__(self, path: Path, adapter: Path | None = None) -> None:
        """`adapter` is a GGUF file too. Raises EngineUnavailable, ModelCorrupt (llama.cpp refuses a file)."""
        self._lib = library()
        self._lock = threading.RLock()
        self._pieces: dict[int, bytes] = {}
        parameters = self._lib.llama_model_default_params()
        parameters.load_mode = _LOAD_WHOLE
        _said.clear()
        self._handle: Any = self._lib.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._handle:
            raise ModelCorrupt(
                f"llama.cpp cannot load {path.name}: {'; '.join(_said) or 'no reason given'}",
                file=path.name,
                hint="See whether this version of llama.cpp knows the architecture; else import a whole copy.",
            )
        lib, handle = self._lib, self._handle
        self._vocabulary = lib.llama_model_get_vocab(handle)
        self.tokens = int(lib.llama_vocab_n_tokens(self._vocabulary))
        self.bytes = int(lib.llama_model_size(handle))
        self.recurrent = bool(lib.llama_model_is_recurrent(handle) or lib.llama_model_is_hybrid(handle))
        self.first = int(lib.llama_vocab_bos(self._vocabulary))
        self.adds_first = self.first >= 0 and bool(lib.llama_vocab_get_add_bos(self._vocabulary))
        self.last = int(lib.llama_vocab_eos(self._vocabulary))
        self.ends = frozenset(i for i in range(self.tokens) if lib.llama_vocab_is_eog(self._vocabulary, i))
        if lib.llama_model_has_encoder(handle) or lib.llama_model_is_diffusion(handle):
            self.close()
            raise ModelCorrupt(f"{path.name} is no causal language model.", file=path.name, hint="Choose another.")
        self.adapter = self._adapted(adapter) if adapter else None

    @property
    def handle(self) -> Any:
        if not self._handle:
            raise EngineUnavailable("The model was unloaded.", hint="Ask again; the active model answers.")
        return self._handle

    def _adapted(self, path: Path) -> Any:
        """A LoRA adapter's weights; they are freed with the model."""
        _said.clear()
        found = self._lib.llama_adapter_lora_init(self._handle, str(path).encode())
        if not found:
            self.close()
            raise ModelCorrupt(
                f"llama.cpp cannot load the adapter {path.name}: {'; '.join(_said) or 'no reason given'}",
                file=path.name,
                hint="Take the adapter that was trained on this model.",
            )
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of a text; the names of special tokens in it become those tokens, as in the other engines."""
        raw = text.encode()
        with self._lock:
            size, wanted = len(raw) + 16, 0
            while True:
                assert self.handle
                ids = (ctypes.c_int32 * size)()
                wanted = self._lib.llama_tokenize(self._vocabulary, raw, len(raw), ids, size, False, True)
                if wanted >= 0:
                    return list(ids[:wanted])
                size = -wanted

    def piece(self, token: int) -> bytes:
        """The bytes of one token; none of a control token."""
        with self._lock:
            if (found := self._pieces.get(token)) is None:
                found = self._pieces[token] = self._piece(token, special=False)
            return found

    def word(self, token: int) -> str:
        """A token by its own name, also a control token's; empty for none."""
        with self._lock:
            return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def close(self) -> None:
        with self._lock:
            handle, self._handle = self._handle, None
            if handle:
                self._lib.llama_model_free(handle)

    def _piece(self, token: int, *, special: bool) -> bytes:
        assert self.handle
        size = 64
        while True:
            room = ctypes.create_string_buffer(size)
            wrote = int(self._lib.llama_token_to_piece(self._vocabulary, token, room, size, 0, special))
            if wrote >= 0:
                return room.raw[:wrote]
            size = -wrote


class SequenceCache:
    """Keys and values of every row, in llama.cpp's memory: one pool of `cells` tokens for all rows.

    `lengths[i]` tokens of row i count; what llama.cpp holds beyond is dropped before the row goes on.
    """

    def __init__(self, lib: Any, context: Any, *, rows: int, cells: int, token_bytes: int) -> None:
        self._lib, self._context = lib, context
        self._memory = lib.llama_get_memory(context)
        self._cells, self._token_bytes = cells, token_bytes
        self._free = list(range(rows))
        self._sequences: list[int] = []
        self.limit = 0
        self.lengths: list[int] = []

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._sequences) + len(self._free), self._cells

    def room(self, lengths: list[int]) -> int:
        """Rows of different lengths share the pool."""
        return sum(lengths) * self._token_bytes

    def reserve(self, rows: int, tokens: int) -> bool:
        """All memory was taken at the start."""
        return False

    def add(self) -> int:
        self._sequences.append(self._free.pop())
        self.lengths.append(0)
        return len(self.lengths) - 1

    def swap(self, a: int, b: int) -> None:
        for numbers in (self._sequences, self.lengths):
            numbers[a], numbers[b] = numbers[b], numbers[a]

    def drop_last(self) -> None:
        self.lengths.pop()
        sequence = self._sequences.pop()
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._free.append(sequence)

    def copy_out(self, row: int, tokens: int) -> torch.Tensor:
        """The first `tokens` tokens of a row as bytes of their own."""
        import torch

        assert tokens == self.lengths[row]
        sequence = self.settled(row)
        size = int(self._lib.llama_state_seq_get_size(self._context, sequence))
        kept = torch.empty(size, dtype=torch.uint8)
        wrote = self._lib.llama_state_seq_get_data(self._context, _bytes_of(kept), size, sequence)
        return kept[: int(wrote)]

    def copy_in(self, row: int, kept: torch.Tensor, tokens: int) -> bool:
        """False when the pool has no place in one piece: the prompt is read instead."""
        sequence = self._sequences[row]
        if not self._lib.llama_state_seq_set_data(self._context, _bytes_of(kept), kept.nbytes, sequence):
            self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
            return False
        self.lengths[row] = tokens
        self.settled(row)
        return True

    def settled(self, row: int) -> int:
        """The row's sequence, holding no more than counts."""
        sequence, length = self._sequences[row], self.lengths[row]
        if self._lib.llama_memory_seq_pos_max(self._memory, sequence) >= length and not self._lib.llama_memory_seq_rm(
            self._memory, sequence, length, -1
        ):
            raise EngineUnavailable("llama.cpp cannot take back tokens of this model.", hint="Choose another model.")
        return sequence


class LlamaRunner:
    """Runs the model over ranges of rows. Not thread-safe, but for `close` of what nobody runs."""

    cut = 1
    device = "cpu"  # where logits lie; the weights may lie elsewhere in a build of llama.cpp that can

    def __init__(self, model: LlamaModel, *, rows: int, cells: int, outputs: int, batch: int, token_bytes: int) -> None:
        """`cells` tokens in all rows together, `outputs` tokens whose logits one step may want. Raises OutOfMemory."""
        self._model, self._lib = model, library()
        parameters = self._lib.llama_context_default_params()
        parameters.n_ctx = -(-cells // _STEP) * _STEP
        parameters.n_seq_max = rows
        parameters.n_batch = parameters.n_ubatch = max(batch, outputs)
        parameters.n_outputs_max = parameters.n_outputs_max_per_seq = outputs
        parameters.n_threads = parameters.n_threads_batch = _threads()
        parameters.kv_unified = True
        _said.clear()
        self._context: Any = self._lib.llama_init_from_model(model.handle, parameters)
        if not self._context:
            raise OutOfMemory(
                f"There is no memory for {cells} tokens: {'; '.join(_said) or 'llama.cpp gave no reason'}",
                hint="Free memory or choose a smaller model.",
            )
        if model.adapter and self._lib.llama_set_adapters_lora(
            self._context, (self._lib.llama_adapter_lora_p_ctypes * 1)(model.adapter), 1, (ctypes.c_float * 1)(1.0)
        ):
            self._lib.llama_free(self._context)
            raise EngineUnavailable("llama.cpp does not take the adapter.", hint="Load the model without it.")
        self._size = int(parameters.n_batch)
        self._batch = self._lib.llama_batch_init(self._size, 0, 1)
        self.cache = SequenceCache(self._lib, self._context, rows=rows, cells=cells, token_bytes=token_bytes)

    def run(self, first: int, tokens: list[list[int]], want: list[int]) -> torch.Tensor:
        """As `rows.RowRunner.run`. Raises OutOfMemory, EngineUnavailable."""
        import torch

        fed: list[tuple[int, int, int, bool]] = []
        for row, (ids, count) in enumerate(zip(tokens, want, strict=True), first):
            sequence, start = self.cache.settled(row), self.cache.lengths[row]
            fed += [(token, start + at, sequence, at >= len(ids) - count) for at, token in enumerate(ids)]
        logits = torch.empty((sum(want), self._model.tokens), dtype=torch.float32)
        done = 0
        for begin in range(0, len(fed), self._size):
            done = self._decode(fed[begin : begin + self._size], logits, done)
        for row, ids in enumerate(tokens, first):
            self.cache.lengths[row] += len(ids)
        return logits

    def close(self) -> None:
        """Let go of the memory, then of the model."""
        context, self._context = self._context, None
        if context:
            self._lib.llama_batch_free(self._batch)
            self._lib.llama_free(context)
        self._model.close()

    def _decode(self, fed: list[tuple[int, int, int, bool]], logits: torch.Tensor, done: int) -> int:
        """Run some tokens; the wanted logits go to `logits` from row `done` on. How many rows are filled then."""
        batch = self._batch
        batch.n_tokens = len(fed)
        for at, (token, position, sequence, wanted) in enumerate(fed):
            batch.token[at], batch.pos[at] = token, position
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
            batch.logits[at] = wanted
        _said.clear()
        found = int(self._lib.llama_decode(self._context, batch))
        if found == 1 or found < -1:
            raise OutOfMemory("The answer does not fit into memory.", hint="Ask again.")
        if found:
            raise EngineUnavailable(f"llama.cpp failed ({found}): {'; '.join(_said)}", hint="Activate the model again.")
        for at, (*_, wanted) in enumerate(fed):
            if wanted:
                source = self._lib.llama_get_logits_ith(self._context, at)
                ctypes.memmove(logits[done].data_ptr(), source, logits[done].nbytes)
                done += 1
        return done


def _threads() -> int:
    """As torch counts: real cores, fewer if the environment says so, and none that this process may not use."""
    import torch

    return max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0))))


def _bytes_of(tensor: torch.Tensor) -> Any:
    return ctypes.cast(tensor.data_ptr(), ctypes.POINTER(ctypes.c_uint8))
