"""One decode step of a Llama-like model in few kernels, for a CUDA device that answers a few people.

Knows where such a model keeps its weights and which of them `kernels` can run: plain matrices in a float type, rotary
positions, full attention, a gated feed-forward with SiLU. Anything else (quantized or adapted layers, norms inside the
attention, biases elsewhere) is left to the model's own code. Does not know graphs, requests or text.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from inference.engines.kernels import Tile
    from inference.engines.rows import RowCache

MOST_TOKENS = 4  # beyond, matrix units are faster
FAMILIES = frozenset({"llama", "mistral", "qwen2"})
_SIZES = frozenset({16, 32, 64, 128, 256})


def fits(model: Any) -> bool:
    """Whether the kernels compute what this model computes, where it is."""
    if find_spec("triton") is None:
        return False
    config, body, head = model.config, model.get_decoder(), model.get_output_embeddings()
    if config.model_type not in FAMILIES or config.hidden_act != "silu":
        return False
    if not _plain(head) or head.bias is not None:
        return False
    first = body.embed_tokens.weight
    for layer in body.layers:
        attention, feed = layer.self_attn, layer.mlp
        inputs = attention.q_proj, attention.k_proj, attention.v_proj
        others = attention.o_proj, feed.gate_proj, feed.up_proj, feed.down_proj
        if not all(map(_plain, (*inputs, *others))):
            return False
        if any(module.bias is not None for module in others) or len({m.bias is None for m in inputs}) > 1:
            return False
        if attention.head_dim not in _SIZES or hasattr(attention, "q_norm"):
            return False
    return all(
        parameter.device == first.device and parameter.dtype == first.dtype and parameter.is_contiguous()
        for parameter in model.parameters()
    )


def _plain(module: Any) -> bool:
    """A matrix and nothing else: adapters and quantized layers are kinds of Linear too."""
    import torch

    return type(module) is torch.nn.Linear


class FusedStep:
    """The step over rows of a cache. Not thread-safe: one thread runs one model."""

    def __init__(self, model: Any, cache: RowCache, context: int) -> None:
        """`model` must fit; positions from `context` on cannot be run."""
        import torch

        config = model.config
        self._body, self._head, self._cache = model.get_decoder(), model.get_output_embeddings(), cache
        first = self._body.layers[0]
        self._heads, self._key_heads = int(config.num_attention_heads), int(config.num_key_value_heads)
        self._size, self._scale = int(first.self_attn.head_dim), float(first.self_attn.scaling)
        weight = self._body.embed_tokens.weight
        places = torch.arange(context, device=weight.device)[None]
        cos, sin = self._body.rotary_emb(weight[:1], places)
        self._cos, self._sin = (table[0, :, : self._size // 2].contiguous() for table in (cos, sin))
        self._done = torch.zeros(MOST_TOKENS * self._key_heads, dtype=torch.int32, device=weight.device)
        self._layers = [_Layer(layer) for layer in self._body.layers]

    def __call__(self, ids: torch.Tensor, positions: torch.Tensor, index: torch.Tensor, span: int) -> torch.Tensor:
        """Logits (rows, tokens, vocabulary) for `ids` (rows, tokens) at `positions`, which follow one another in each
        row; row i is row `index[i, 0]` of the cache, of which `span` tokens may be read. At most MOST_TOKENS ids."""
        import torch

        from inference.engines import kernels

        kv = self._cache.kv
        assert kv is not None
        count, wide = ids.shape
        hidden = self._body.embed_tokens(ids.reshape(-1))
        tokens = len(hidden)
        step = kernels.Attention(
            self._heads, self._key_heads, self._size, self._scale, wide, span,
            positions.reshape(-1), index.reshape(-1), self._cos, self._sin, self._done,
        )  # fmt: skip
        queries = hidden.new_empty(tokens, self._heads * self._size)
        mixed = torch.empty_like(queries)
        inner = hidden.new_empty(tokens, len(self._layers[0].gate))
        for number, layer in enumerate(self._layers):
            cache = kv[:, number]
            kernels.attention_input(
                hidden, layer.inputs, layer.biases, queries, cache, step,
                tile=_tile("inputs", tokens), norm=layer.first_norm, eps=layer.first_eps,
            )  # fmt: skip
            kernels.attend(queries, cache, mixed, step)
            kernels.project(mixed, layer.output, hidden, tile=_tile("output", tokens), add=True)
            kernels.gate(
                hidden, layer.gate, layer.up, inner,
                tile=_tile("gate", tokens), norm=layer.second_norm, eps=layer.second_eps,
            )  # fmt: skip
            kernels.project(inner, layer.down, hidden, tile=_tile("down", tokens), add=True)
        norm, head = self._body.norm, self._head.weight
        logits = hidden.new_empty(tokens, len(head))
        kernels.project(hidden, head, logits, tile=_tile("head", tokens), norm=norm.weight, eps=norm.variance_epsilon)
        shaped: torch.Tensor = logits.view(count, wide, len(head))
        return shaped


class _Layer:
    """A layer's weights by what the kernels do with them."""

    def __init__(self, layer: Any) -> None:
        attention, feed = layer.self_attn, layer.mlp
        inputs = attention.q_proj, attention.k_proj, attention.v_proj
        self.inputs: Any = tuple(module.weight for module in inputs)
        self.biases: Any = None if inputs[0].bias is None else tuple(module.bias for module in inputs)
        self.output, self.down = attention.o_proj.weight, feed.down_proj.weight
        self.gate, self.up = feed.gate_proj.weight, feed.up_proj.weight
        self.first_norm, self.second_norm = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self.first_eps = float(layer.input_layernorm.variance_epsilon)
        self.second_eps = float(layer.post_attention_layernorm.variance_epsilon)


def _tile(which: str, tokens: int) -> Tile:
    """How a program reads, by measurement on one H100 (1.5B)."""
    from inference.engines.kernels import Tile

    if tokens > 1:
        return Tile(4, 128, 4, 3) if which in {"gate", "head"} else Tile(2, 256, 4, 3)
    return {
        "inputs": Tile(4, 512, 4, 3),
        "output": Tile(2, 512, 4, 3),
        "gate": Tile(4, 512, 4, 3),
        "down": Tile(2, 1024, 4, 3),
        "head": Tile(4, 512, 4, 3),
    }[which]
