"""A dynamic8 model's layers over the tokens of many rows, laid end to end.

`rows.RowRunner` goes through the model's own modules, a rectangle of rows and tokens at a time. Here tokens of all rows
are one matrix without padding; a product's input is brought to integers once for all products that take it; and scales
are multiplied where they cost least. Rows attend in groups of one rounded length each, so what a row is told depends
neither on its neighbours nor on how much of a prompt is read at once: bit for bit what it is told alone. Knows
the layers of Llama-like models. Does not know requests, text or time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from inference.dynamic import FAMILIES, DynamicLinear, scaled
from inference.engines.rows import RowRunner

if TYPE_CHECKING:
    from inference.loading import LoadedModel

PIECE = 64  # positions: pieces of a prompt end, and what a row attends to is rounded up, at its multiples


def fits(model: Any) -> bool:
    """Whether the model's layers are those computed here: of a known family, quantized, without adapters."""
    if getattr(model.config, "model_type", "") not in FAMILIES:
        return False
    body = model.get_decoder()
    products = [module for layer in body.layers for module in (*_inputs(layer), *_others(layer))]
    return all(type(module) is DynamicLinear for module in products)


def _inputs(layer: Any) -> tuple[Any, Any, Any]:
    return layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj


def _others(layer: Any) -> tuple[Any, Any, Any, Any]:
    return layer.self_attn.o_proj, layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbouring rows with one token each and one rounded length, or a piece of one row's tokens.

    `tokens` is where they lie among the step's, `mask` (rows, 1, queries per key head or 1, span) is added to scores.
    """

    tokens: slice
    first: int
    count: int
    span: int
    mask: torch.Tensor


class DirectRunner(RowRunner):
    """Runs the model over ranges of rows. Not thread-safe: one thread runs one model."""

    cut = PIECE

    padded = False

    def __init__(self, loaded: LoadedModel) -> None:
        """`loaded` must fit."""
        super().__init__(loaded)
        self._layers = [_Layer(layer) for layer in self._body.layers]
        self._heads = int(self.model.config.num_attention_heads)
        first = self._body.layers[0].self_attn
        self._size, self._scale = int(first.head_dim), float(first.scaling)

    def close(self) -> None:
        super().close()
        self._layers = []

    def run(self, first: int, tokens: list[list[int]], want: list[int]) -> torch.Tensor:
        """As `RowRunner.run`; rows may be fed any number of tokens each, at no cost for their differences."""
        cache = self.cache
        starts = cache.lengths[first : first + len(tokens)]
        cache.reserve(len(cache.lengths), max(_rounded(at + len(row)) for at, row in zip(starts, tokens, strict=True)))
        ids = torch.tensor([token for row in tokens for token in row])
        places = [range(at, at + len(row)) for at, row in zip(starts, tokens, strict=True)]
        positions = torch.tensor([place for row in places for place in row])
        index = torch.tensor([row for row, fed in enumerate(tokens, first) for _ in fed])
        hidden = self._through(ids, positions, index, self._grouped(first, starts, tokens))
        picked: list[int] = []
        end = 0
        for row, (fed, count) in enumerate(zip(tokens, want, strict=True), first):
            end += len(fed)
            picked += range(end - count, end)
            cache.lengths[row] += len(fed)
        logits: torch.Tensor = self._head(self._body.norm(hidden[torch.tensor(picked, dtype=torch.long)]))
        return logits

    def _grouped(self, first: int, starts: list[int], tokens: list[list[int]]) -> list[_Group]:
        """The step's tokens in the order they lie, by what can attend together."""
        groups, at, row = [], 0, 0
        ends = [start + len(fed) for start, fed in zip(starts, tokens, strict=True)]
        single = [_rounded(end) if len(fed) == 1 else 0 for end, fed in zip(ends, tokens, strict=True)]
        while row < len(tokens):
            count = 1
            if span := single[row]:
                while row + count < len(tokens) and single[row + count] == span:
                    count += 1
                mask = _mask(starts[row : row + count], span)[:, None, None]
                groups.append(_Group(slice(at, at + count), first + row, count, span, mask))
                at += count
            else:
                begin = starts[row]
                while begin < ends[row]:
                    span = _rounded(begin + 1)
                    stop = min(span, ends[row])
                    mask = _mask(range(begin, stop), span).repeat(self._groups, 1)[None, None]
                    groups.append(_Group(slice(at, at + stop - begin), first + row, 1, span, mask))
                    at += stop - begin
                    begin = stop
            row += count
        return groups

    def _through(
        self, ids: torch.Tensor, positions: torch.Tensor, index: torch.Tensor, groups: list[_Group]
    ) -> torch.Tensor:
        """The body's states (tokens, d) before the last norm, for `ids` at `positions` of the rows `index`."""
        kv = self.cache.kv
        assert kv is not None
        _, layers, rows, heads, room, size = kv.shape
        states: torch.Tensor = self._body.embed_tokens(ids)
        cos, sin = self._body.rotary_emb(states[None], positions[None])
        cos = cos.transpose(0, 1)
        sin = torch.cat([-sin[..., : size // 2], sin[..., size // 2 :]], -1).transpose(0, 1)
        # where each token's keys and values lie, of the cache seen as (everything, d)
        sides = torch.arange(2)[:, None] * layers * rows * heads + torch.arange(heads)
        slots = ((sides + index[:, None, None] * heads) * room + positions[:, None, None]).reshape(-1)
        slots = slots + torch.arange(layers)[:, None] * (rows * heads * room)
        lines = kv.view(-1, size)
        for number, layer in enumerate(self._layers):
            given, largest = scaled(layer.first(states))
            taken = torch.cat([module.scaled_product(given, largest) for module in layer.inputs], 1)
            split = taken.view(len(ids), -1, size)
            turned = split[:, : self._heads + heads]
            for norm, part in zip(layer.norms, turned.split((self._heads, heads), 1), strict=False):
                part.copy_(norm(part))
            other = turned.unflatten(2, (2, -1)).flip(2).flatten(2).mul_(sin)
            turned.mul_(cos).add_(other)
            lines.index_copy_(0, slots[number], split[:, self._heads :].reshape(-1, size))
            states = states + layer.output(self._attend(split[:, : self._heads], kv[:, number], groups))
            given, largest = scaled(layer.second(states))
            inner = layer.act(layer.gate.scaled_product(given, largest)).mul_(layer.up.scaled_product(given, largest))
            states = states + layer.down(inner)
        return states

    def _attend(self, queries: torch.Tensor, kv: torch.Tensor, groups: list[_Group]) -> torch.Tensor:
        """`queries` (tokens, heads, d); `kv` (2, rows, key heads, room, d) -> (tokens, heads * d)."""
        heads = kv.shape[2]
        found = []
        for group in groups:
            asked = queries[group.tokens]
            keys, values = kv[:, group.first : group.first + group.count, :, : group.span]
            if group.count == len(asked):  # one token in each row
                packed = asked.unflatten(1, (heads, -1))
                out = scaled_dot_product_attention(packed, keys, values, attn_mask=group.mask, scale=self._scale)
                found.append(out.reshape(len(asked), -1))
            else:
                packed = asked.transpose(0, 1).reshape(1, heads, -1, self._size)
                out = scaled_dot_product_attention(packed, keys, values, attn_mask=group.mask, scale=self._scale)
                found.append(out.reshape(-1, len(asked), self._size).transpose(0, 1).reshape(len(asked), -1))
        return found[0] if len(found) == 1 else torch.cat(found)


def _rounded(length: int) -> int:
    return -(-length // PIECE) * PIECE


def _mask(positions: Iterable[int], span: int) -> torch.Tensor:
    """(positions, span): nothing is added where a token may look, minus infinity elsewhere."""
    reach = torch.arange(span) <= torch.tensor([*positions])[:, None]
    return torch.zeros(reach.shape).masked_fill_(~reach, float("-inf"))


class _Layer:
    """A layer's parts by what is done with them."""

    def __init__(self, layer: Any) -> None:
        attention = layer.self_attn
        self.inputs = _inputs(layer)
        self.output, self.gate, self.up, self.down = _others(layer)
        self.act = layer.mlp.act_fn
        self.norms = (attention.q_norm, attention.k_norm) if hasattr(attention, "q_norm") else ()
        self.first, self.second = layer.input_layernorm, layer.post_attention_layernorm
