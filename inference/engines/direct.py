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
    if not all(type(module) is DynamicLinear for module in products):
        return False
    return all(len({module.bias is None for module in _inputs(layer)}) == 1 for layer in body.layers)


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
        lines, places = kv.view(-1, size), slots.unbind(0)
        looks = [self._seen(kv, group) for group in groups]
        for number, layer in enumerate(self._layers):
            given, largest = scaled(torch.rms_norm(states, *layer.first))
            taken = torch.cat([product(given) for product in layer.inputs], 1)
            taken = taken.mul_(largest) if layer.bias is None else torch.addcmul(layer.bias, taken, largest)
            split = taken.view(len(ids), -1, size)
            asked, turned, kept = split[:, : self._heads], split[:, : self._heads + heads], split[:, self._heads :]
            for norm, part in zip(layer.norms, turned.split((self._heads, heads), 1), strict=False):
                part.copy_(norm(part))
            other = turned.roll(size // 2, -1).mul_(sin)
            turned.mul_(cos).add_(other)
            lines.index_copy_(0, places[number], kept.reshape(-1, size))
            mixed = [self._attend(asked, group, look[number]) for group, look in zip(groups, looks, strict=True)]
            states = states + layer.output(mixed[0] if len(mixed) == 1 else torch.cat(mixed))
            given, largest = scaled(torch.rms_norm(states, *layer.second))
            inner = layer.act(layer.gate(given, largest)).mul_(layer.up(given, largest))
            states = states + layer.down(inner)
        return states

    def _seen(self, kv: torch.Tensor, group: _Group) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values (rows, key heads, span, d) of a group, by layer."""
        keys, values = kv[:, :, group.first : group.first + group.count, :, : group.span]
        return list(zip(keys.unbind(0), values.unbind(0), strict=True))

    def _attend(self, queries: torch.Tensor, group: _Group, seen: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """`queries` (tokens of the step, heads, d) -> (tokens of the group, heads * d)."""
        asked, (keys, values) = queries[group.tokens], seen
        count, heads = len(asked), keys.shape[1]
        single = group.count == count  # one token in each row
        packed = asked if single else asked.transpose(0, 1)
        packed = packed.reshape(group.count, heads, -1, self._size)
        out = scaled_dot_product_attention(packed, keys, values, attn_mask=group.mask, scale=self._scale)
        if not single:
            out = out.reshape(-1, count, self._size).transpose(0, 1)
        return out.reshape(count, -1)


def _rounded(length: int) -> int:
    return -(-length // PIECE) * PIECE


def _mask(positions: Iterable[int], span: int) -> torch.Tensor:
    """(positions, span): nothing is added where a token may look, minus infinity elsewhere."""
    reach = torch.arange(span) <= torch.tensor([*positions])[:, None]
    return torch.zeros(reach.shape).masked_fill_(~reach, float("-inf"))


class _Layer:
    """A layer's parts by what is done with them."""

    def __init__(self, layer: Any) -> None:
        attention, inputs = layer.self_attn, _inputs(layer)
        output, gate, up, down = _others(layer)
        self.inputs = [module.product for module in inputs]
        self.bias = torch.cat([module.bias for module in inputs]) if inputs[0].bias is not None else None
        self.output, self.down, self.act = output.forward, down.forward, layer.mlp.act_fn
        self.gate, self.up = gate.scaled_product, up.scaled_product
        self.norms = (attention.q_norm, attention.k_norm) if hasattr(attention, "q_norm") else ()
        self.first, self.second = _norm(layer.input_layernorm), _norm(layer.post_attention_layernorm)


def _norm(module: Any) -> tuple[tuple[int, ...], torch.Tensor, float]:
    """What `torch.rms_norm` takes, to the same result as the model's own norm."""
    return tuple(module.weight.shape), module.weight, float(module.variance_epsilon)
