"""The reader's encoder as an OpenVINO graph: the same numbers as torch, in less time on a processor.

Knows the architecture of BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) and the names of its weights.
Takes word vectors that are already summed up (``inference.reading.network``); knows no tokenizer, no heads, no file.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import BertConfig

Encode = Callable[[Tensor, Tensor, Tensor], Tensor]


def compile_encoder(config: BertConfig, weights: Mapping[str, Tensor]) -> Encode:
    """From vectors ``(b, t, h)``, token types and mask ``(b, t)`` to the last hidden states ``(b, t, h)``.

    ``weights``: the state of a ``BertModel``. Raises ``ImportError`` or ``RuntimeError`` where OpenVINO does not load.
    """
    compiled = _openvino().Core().compile_model(_model(config, weights), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    local = threading.local()

    def encode(embedded: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        given = [embedded.float().numpy(), types.numpy().astype(np.int32), mask.numpy().astype(np.float32)]
        return torch.from_numpy(np.array(local.request.infer(given)[0], dtype=np.float32))

    return encode


def _openvino() -> Any:
    # OpenVINO reports its use where openvino_telemetry can be imported; here it cannot.
    blocked: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    blocked.setdefault("openvino_telemetry", None)
    return import_module("openvino")


def _model(config: BertConfig, weights: Mapping[str, Tensor]) -> Any:
    openvino = _openvino()
    op = openvino.opset13
    heads, hidden = config.num_attention_heads, config.hidden_size

    def const(value: Any, kind: type = np.float32) -> Any:
        return op.constant(np.asarray(value, dtype=kind))

    def weight(name: str) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = weights[name].detach().float().numpy()
        return found

    def linear(x: Any, name: str) -> Any:
        return op.add(op.matmul(x, const(weight(f"{name}.weight")), False, True), const(weight(f"{name}.bias")))

    def layer_norm(x: Any, name: str) -> Any:
        normal = op.mvn(x, const([-1], np.int64), True, config.layer_norm_eps, "inside_sqrt")
        return op.add(op.multiply(normal, const(weight(f"{name}.weight"))), const(weight(f"{name}.bias")))

    def split(x: Any) -> Any:
        apart = op.reshape(x, const([0, 0, heads, hidden // heads], np.int64), True)
        return op.transpose(apart, const([0, 2, 1, 3], np.int64))

    def rows(table: str, places: Any) -> Any:
        return op.gather(const(weight(f"embeddings.{table}.weight")), places, const(0, np.int64))

    embedded = op.parameter([-1, -1, hidden], np.float32, name="embedded")
    types = op.parameter([-1, -1], np.int32, name="types")
    mask = op.parameter([-1, -1], np.float32, name="mask")
    tokens = op.gather(op.shape_of(types), const(1, np.int64), const(0, np.int64))
    positions = op.range(const(0, np.int64), tokens, const(1, np.int64), "i64")
    x = op.add(op.add(embedded, rows("token_type_embeddings", types)), rows("position_embeddings", positions))
    x = layer_norm(x, "embeddings.LayerNorm")
    far = op.unsqueeze(op.multiply(op.subtract(mask, const(1.0)), const(10_000.0)), const([1, 2], np.int64))
    for index in range(config.num_hidden_layers):
        layer = f"encoder.layer.{index}"
        query, key, value = (split(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        weighed = op.transpose(op.scaled_dot_product_attention(query, key, value, far), const([0, 2, 1, 3], np.int64))
        merged = op.reshape(weighed, const([0, 0, hidden], np.int64), True)
        x = layer_norm(
            op.add(linear(merged, f"{layer}.attention.output.dense"), x), f"{layer}.attention.output.LayerNorm"
        )
        wide = op.gelu(linear(x, f"{layer}.intermediate.dense"), "erf")
        x = layer_norm(op.add(linear(wide, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")
    return openvino.Model([x], [embedded, types, mask], "reader")
