"""The MiniLM sentence encoder written directly as an OpenVINO graph, straight from its safetensors file.

Knows the architecture of BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) and OpenVINO's
operators. Does not know tokenizers, checksums or batching (`retrieval.embedding`).

Writing the graph by hand, some sixty lines, replaces a conversion through torch or ONNX: an embedding worker
that uses it imports neither torch nor transformers, needs no converted copy of the model on disk, and never
touches OpenVINO's converter, the only part of it that reports usage statistics.

`packed` keeps the matrices as 8-bit integers with one float32 scale for every 16 inputs of a row, and lets OpenVINO
round activations in groups of 16 as well (block-wise, as in ZeroQuant, https://arxiv.org/abs/2206.01861). Blocks are
what makes it right: with one scale for a whole matrix the vectors are wrong (cosine 0.85), with one for 16 inputs they
are right (0.9996); and faster on processors that multiply 8-bit integers (VNNI) but not bfloat16. On a processor with
both (Zen 4) larger blocks beat bfloat16 as well, and are not used: of 60 questions on 100 English passages, the ten
nearest agree with float32 for 0.995 to 1.000 in bfloat16, 0.983 to 0.992 in blocks of 16, 0.967 to 0.985 of 128, and
0.958 to 0.982 of 384; 8 texts of 128 tokens take one core 127 ms in bfloat16, 95 in blocks of 128, 313 in torch.
In bfloat16 the 36 products take 83 % of the time, attention 10 %; one product for query, key and value, GELU by tanh
and other batch sizes gained nothing measurable. Were all else free, the products alone, near the processor's peak,
would leave one core at 3.0 times torch; four needs 8 bits. With outliers of activations moved into the weights
(SmoothQuant, https://arxiv.org/abs/2211.10438, ranges of each channel from 20,000 tokens) and fixed scales, all
products in 8 bits take 74 ms instead of 121, and are wrong (cosine 0.998, the ten nearest 0.94 to 0.98); all but the
last of each layer (GELU's outliers, the worst) give cosine 0.9995, but still only 0.95 of the ten nearest on random
words and 0.983 to 0.988 on two real sets. Not used: bfloat16 agrees for 0.99 and more.

Some products in 8 bits, the others in bfloat16: where the error comes from, and what each choice costs. A mean over
tokens takes rounding of activations away and leaves that of weights, which is the same for every token. Two remedies
at little cost: weights rounded one input after the other, the rest making up for it (GPTQ,
https://arxiv.org/abs/2210.17323, covariance of 20,000 tokens of public handbooks, English and Chinese, none of them
judged), and the weights' error times the mean of a text's own tokens given back, one small product for each text. For
the first feed-forward product they bring 1 - cosine from 2.35e-4 to 1.03e-4 (random words; bfloat16 alone: 0.17e-4).
Speed as a multiple of bfloat16 (8 texts of 128 tokens, one core of a busy machine, in turns), and agreement of the ten
nearest, lowest to highest set (60 questions on 232 passages of each development set, 50 on 128 of random words; all
made the same way; differences under 0.005 are chance):

  bfloat16                                                                 1      0.985 (Chinese), 0.993 to 0.998
  first feed-forward of layers 3 to 5; query, key and value of layer 0     1.06   0.985 (Chinese), 0.987 to 0.995
  first feed-forward of every layer (four of the sets)                     1.12   0.975 (Chinese), 0.982 to 0.993
  both, of every layer                                                     1.22   0.957 (Chinese), 0.974 to 0.992
  all 36, blocks of 128, a scale for each token, channels sorted, GPTQ     1.3    1 - cosine 5e-4 to 7e-4

Single products, with the remedies, 16 passages of random words: the first feed-forward of layer 5 is nearly free
(0.20e-4), of layers 0 and 1 dear (0.37e-4 and 0.40e-4; 0.9e-4 on Chinese passages); query, key and value cost
0.21e-4 in layer 0, 0.40e-4 in layer 1 and 0.48e-4 to 0.76e-4 in the next three; the last product of layers 4 and 5,
without the remedies, 1.7e-4 and 0.7e-4. So agreement of 0.98 on every set ends at some 1.1 times, 3.5 times float32
where 4 needs 1.25. Not used: a tenth less time at most, and the aim not met, for a calibrated file and a second way of
computing. Padding is no way out either: it is 0 to 6 % of what is computed for these sets.

OpenVINO's wheel also installs `openvino_telemetry` and imports it at start; `silent_openvino` makes that package
unimportable in this process first, and OpenVINO then uses its own empty stub. The tests watch for sockets.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYERS = 6
HEADS = 12
HIDDEN = 384
EPSILON = 1e-12
BLOCK = 16  # inputs that share a scale; 32 are no faster and find a little less of the same (top ten: 0.982, not 0.984)


def silent_openvino() -> Any:
    """Import OpenVINO with its telemetry package blocked; raises ImportError where OpenVINO cannot load."""
    # A None entry makes `import openvino_telemetry` raise ImportError, which OpenVINO expects and handles.
    blocked: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    blocked.setdefault("openvino_telemetry", None)
    return import_module("openvino")


def build_encoder(weights: Path, *, packed: bool = False) -> Any:
    """An `openvino.Model`: int32 `ids` and float32 `mask`, both (batch, tokens), to mean pooled (batch, 384).

    The output is the masked mean of the last hidden states, not yet normalised. `packed`: see above.
    """
    openvino = silent_openvino()
    op = openvino.opset13
    from safetensors import safe_open

    with safe_open(weights, "np") as stored:
        tensors: dict[str, NDArray[np.float32]] = {
            name: stored.get_tensor(name)
            for name in stored.keys()  # noqa: SIM118 - not a mapping
            if not name.startswith("pooler.")
        }

    def const(value: Any, kind: type = np.float32) -> Any:
        return op.constant(np.asarray(value, dtype=kind))

    def pack(weight: NDArray[np.float32]) -> Any:
        blocks = weight.reshape(weight.shape[0], -1, BLOCK)
        scale = np.maximum(np.abs(blocks).max(axis=2, keepdims=True) / 127.0, np.finfo(np.float32).tiny)
        whole = op.constant(np.clip(np.rint(blocks / scale), -127, 127).astype(np.int8))
        restored = op.multiply(op.convert(whole, "f32"), const(scale))
        return op.reshape(restored, const(weight.shape, np.int64), False)

    def linear(x: Any, name: str) -> Any:
        weight = tensors[f"{name}.weight"]
        product = op.matmul(x, pack(weight) if packed else const(weight), False, True)
        return op.add(product, const(tensors[f"{name}.bias"]))

    def layer_norm(x: Any, name: str) -> Any:
        normal = op.mvn(x, const([-1], np.int64), True, EPSILON, "inside_sqrt")
        return op.add(op.multiply(normal, const(tensors[f"{name}.weight"])), const(tensors[f"{name}.bias"]))

    def heads(x: Any) -> Any:
        split = op.reshape(x, const([0, 0, HEADS, HIDDEN // HEADS], np.int64), True)
        return op.transpose(split, const([0, 2, 1, 3], np.int64))

    def embedding(table: str, indices: Any) -> Any:
        return op.gather(const(tensors[f"embeddings.{table}.weight"]), indices, const(0, np.int64))

    ids = op.parameter([-1, -1], np.int32, name="ids")
    mask = op.parameter([-1, -1], np.float32, name="mask")
    tokens = op.gather(op.shape_of(ids), const(1, np.int64), const(0, np.int64))
    positions = op.range(const(0, np.int64), tokens, const(1, np.int64), "i64")
    x = op.add(embedding("word_embeddings", ids), embedding("position_embeddings", positions))
    x = op.add(x, const(tensors["embeddings.token_type_embeddings.weight"][0]))  # one segment only
    x = layer_norm(x, "embeddings.LayerNorm")

    # Padding is pushed out of the softmax by adding a large negative number, as in the original code.
    hidden_keys = op.multiply(op.subtract(mask, const(1.0)), const(10_000.0))
    attention_mask = op.unsqueeze(hidden_keys, const([1, 2], np.int64))
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        query, key, value = (heads(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        weighted = op.scaled_dot_product_attention(query, key, value, attention_mask)
        merged = op.reshape(
            op.transpose(weighted, const([0, 2, 1, 3], np.int64)), const([0, 0, HIDDEN], np.int64), True
        )
        attended = op.add(linear(merged, f"{layer}.attention.output.dense"), x)
        x = layer_norm(attended, f"{layer}.attention.output.LayerNorm")
        wide = op.gelu(linear(x, f"{layer}.intermediate.dense"), "erf")
        x = layer_norm(op.add(linear(wide, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")

    column = op.unsqueeze(mask, const([2], np.int64))
    total = op.reduce_sum(op.multiply(x, column), const([1], np.int64), False)
    pooled = op.divide(total, op.reduce_sum(column, const([1], np.int64), False))
    return openvino.Model([pooled], [ids, mask], "all-MiniLM-L6-v2")
