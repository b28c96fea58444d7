"""A causal language model run over many sequences at once, each in a row of one key-value cache.

Every row has its own length; a step feeds each row of a contiguous range its next tokens, left aligned, and masks what
lies beyond. A row forgets its last tokens by lowering its length, so guessed tokens cost nothing to take back. Knows
the shapes of decoder models with rotary positions and full attention. Does not know requests, text or time.

Grouped-query attention runs on the key heads themselves: the queries that share a head are laid side by side as if they
were more positions, so keys and values are never repeated (transformers' sdpa repeats them whenever there is a mask).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from inference.errors import EngineUnavailable
from inference.spreading import layer_devices

if TYPE_CHECKING:
    import torch

    from inference.loading import LoadedModel

ATTENTION = "rows"
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_MOVING_ROPES = frozenset({"dynamic", "longrope"})  # their angles depend on the longest sequence of the batch
_FEW = 16  # queries per key head
_STEP = 256  # the cache's length grows by these many tokens


def supports(loaded: LoadedModel) -> bool:
    """Whether the model is of a kind this module runs exactly: full attention, fixed rotary angles."""
    config = loaded.model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in FAMILIES
        and kinds == {"full_attention"}
        and window is None
        and rope.get("rope_type", "default") not in _MOVING_ROPES
    )


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    rows: bool = False,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """`query` (rows, heads, tokens, d); `key`, `value` (rows, key heads, length, d); `attention_mask` (rows, 1,
    heads per key head * tokens, length), added to the scores. Calls that are not ours go to transformers' sdpa."""
    from torch import float32
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if not rows or attention_mask is None or scaling is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)
    count, heads, tokens, size = query.shape
    packed = query.reshape(count, key.shape[1], -1, size)
    if query.is_cuda and packed.shape[2] <= _FEW:
        # few queries against a long cache: the fused kernel gives each head to one block of threads
        scores = (packed @ key.transpose(2, 3)) * scaling + attention_mask
        out = scores.softmax(-1, dtype=float32).to(value.dtype) @ value
    else:
        out = scaled_dot_product_attention(packed, key, value, attn_mask=attention_mask, scale=scaling)
    return out.reshape(count, heads, tokens, size).transpose(1, 2), None


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class RowCache:
    """Keys and values of every row. `lengths[i]` tokens of row i are known; what lies beyond is never read.

    Rows are numbered from 0 without gaps; `kv` has the shape (2, layers, rows, key heads, tokens, d).
    """

    def __init__(self, model: Any, device: str) -> None:
        config = model.config
        self._layers = int(config.num_hidden_layers)
        self._heads = int(config.num_key_value_heads)
        self._size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        self._dtype: torch.dtype = model.get_decoder().norm.weight.dtype  # what the layers compute in
        self._device = device
        self.kv: torch.Tensor | None = None
        self.limit = 2**63
        self.lengths: list[int] = []
        self.first = self.count = self.span = 0  # the range of the step under way
        self.positions: torch.Tensor | None = None  # (count, tokens) of the step under way
        self.index: torch.Tensor | None = None  # (count, 1) row numbers of the step under way

    @property
    def token_bytes(self) -> int:
        """Memory of one token in one row."""
        return 2 * self._layers * self._heads * self._size * int(self._dtype.itemsize)

    def room(self, lengths: list[int]) -> int:
        """Memory of rows of these lengths: every row is as long as the longest."""
        return len(lengths) * max(lengths) * self.token_bytes

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, tokens) allocated."""
        return (0, 0) if self.kv is None else (self.kv.shape[2], self.kv.shape[4])

    def reserve(self, rows: int, tokens: int) -> bool:
        """Make room for `rows` rows of `tokens` tokens; True when memory was allocated anew (addresses changed).

        What is there already is kept as room too, unless `limit` bytes would be passed.
        """
        have_rows, have_tokens = self.shape
        if rows <= have_rows and tokens <= have_tokens:
            return False
        tokens = max(-(-tokens // _STEP) * _STEP, max(self.lengths, default=0))
        rows = max(rows, len(self.lengths))
        for more_rows, more_tokens in ((have_rows, have_tokens), (rows, have_tokens), (have_rows, tokens)):
            wanted = max(rows, more_rows), max(tokens, more_tokens)
            if wanted[0] * wanted[1] * self.token_bytes <= self.limit:
                rows, tokens = wanted
                break
        self._allocate(rows, tokens)
        return True

    def _allocate(self, rows: int, tokens: int) -> None:
        self.kv = self._grown(self.kv, self._layers, rows, tokens, self._device)

    def _grown(self, old: torch.Tensor | None, layers: int, rows: int, tokens: int, device: str) -> torch.Tensor:
        import torch

        new = torch.zeros((2, layers, rows, self._heads, tokens, self._size), dtype=self._dtype, device=device)
        if old is not None:
            kept = old[:, :, :rows, :, :tokens]
            new[:, :, : kept.shape[2], :, : kept.shape[4]] = kept
        return new

    def _parts(self) -> list[torch.Tensor]:
        """All keys and values, the layers in order; one tensor for each device."""
        return [self._live()]

    def add(self) -> int:
        """The number of a new, empty row (room must be reserved)."""
        self.lengths.append(0)
        return len(self.lengths) - 1

    def swap(self, a: int, b: int) -> None:
        if a == b:
            return
        used = max(self.lengths[a], self.lengths[b])
        for kv in self._parts():
            kept = kv[:, :, a, :, :used].clone()
            kv[:, :, a, :, :used] = kv[:, :, b, :, :used]
            kv[:, :, b, :, :used] = kept
        self.lengths[a], self.lengths[b] = self.lengths[b], self.lengths[a]

    def drop_last(self) -> None:
        """Forget the last row."""
        self.lengths.pop()

    def copy_out(self, row: int, tokens: int) -> torch.Tensor:
        """The first `tokens` tokens of a row, as memory of its own."""
        import torch

        return torch.cat([kv[:, :, row, :, :tokens].to(self._device) for kv in self._parts()], 1)

    def copy_in(self, row: int, kept: torch.Tensor, tokens: int) -> bool:
        """Begin a row with the first `tokens` tokens of what `copy_out` gave; False: the row stays empty."""
        first = 0
        for kv in self._parts():
            last = first + kv.shape[1]
            kv[:, :, row, :, :tokens] = kept[:, first:last, :, :tokens]
            first = last
        self.lengths[row] = tokens
        return True

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Called by every attention layer: write the step's keys and values, give back the rows' whole length."""
        kv, layer = self._part(layer)
        assert self.positions is not None
        assert self.index is not None
        index, positions = self.index.to(kv.device), self.positions.to(kv.device)
        kv[0, layer][index, :, positions] = keys.transpose(1, 2)
        kv[1, layer][index, :, positions] = values.transpose(1, 2)
        rows = slice(self.first, self.first + self.count)
        return kv[0, layer][rows, :, : self.span], kv[1, layer][rows, :, : self.span]

    def _part(self, layer: int) -> tuple[torch.Tensor, int]:
        """Where a layer's keys and values are, and its number there."""
        return self._live(), layer

    def clear(self) -> None:
        self.kv = None

    def _live(self) -> torch.Tensor:
        if self.kv is None:
            raise EngineUnavailable("No row was reserved.")
        return self.kv


class SpreadCache(RowCache):
    """Rows of a model whose layers lie on several devices: keys and values lie with their layer. `kv` is unused."""

    def __init__(self, model: Any, devices: list[str]) -> None:
        """`devices`: of each layer, in order; the first is where whole rows are copied to."""
        super().__init__(model, devices[0])
        self._runs = [(device, len(list(run))) for device, run in groupby(devices)]
        self._places = [(part, at) for part, (_, count) in enumerate(self._runs) for at in range(count)]
        self._held: list[torch.Tensor] = []

    @property
    def shape(self) -> tuple[int, int]:
        return (self._held[0].shape[2], self._held[0].shape[4]) if self._held else (0, 0)

    def clear(self) -> None:
        self._held = []

    def _allocate(self, rows: int, tokens: int) -> None:
        old: list[torch.Tensor | None] = [*self._held] or [None] * len(self._runs)
        self._held = [
            self._grown(held, count, rows, tokens, device)
            for held, (device, count) in zip(old, self._runs, strict=True)
        ]

    def _parts(self) -> list[torch.Tensor]:
        if not self._held:
            raise EngineUnavailable("No row was reserved.")
        return self._held

    def _part(self, layer: int) -> tuple[torch.Tensor, int]:
        part, at = self._places[layer]
        return self._parts()[part], at


class Cache(Protocol):
    """What the batch needs of a cache, whoever keeps it; see RowCache."""

    limit: int
    lengths: list[int]

    @property
    def shape(self) -> tuple[int, int]: ...
    def room(self, lengths: list[int]) -> int: ...
    def reserve(self, rows: int, tokens: int) -> bool: ...
    def add(self) -> int: ...
    def swap(self, a: int, b: int) -> None: ...
    def drop_last(self) -> None: ...
    def copy_out(self, row: int, tokens: int) -> torch.Tensor: ...
    def copy_in(self, row: int, kept: torch.Tensor, tokens: int) -> bool: ...


class Runner(Protocol):
    """What the batch needs of a model, whoever computes it; see RowRunner."""

    device: str
    cut: int  # prompts are read end to end, their pieces end at multiples of so many tokens; 0: as a padded rectangle

    @property
    def cache(self) -> Cache: ...
    def run(self, first: int, tokens: list[list[int]], want: list[int]) -> torch.Tensor: ...
    def close(self) -> None: ...


class RowRunner:
    """Runs the model over ranges of rows. Not thread-safe: one thread runs one model."""

    cut = 0

    def __init__(self, loaded: LoadedModel) -> None:
        _register()
        model: Any = loaded.model
        self.model = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.model.set_attn_implementation(ATTENTION)
        self.device = loaded.device
        devices = layer_devices(self.model)
        self.cache = SpreadCache(self.model, devices) if len({*devices}) > 1 else RowCache(self.model, loaded.device)
        config = self.model.config
        self._groups = int(config.num_attention_heads) // int(config.num_key_value_heads)
        self._body = self.model.get_decoder()
        self._head = self.model.get_output_embeddings()

    def close(self) -> None:
        """Let go of the model and the cache."""
        self.cache.clear()
        self.model = self._body = self._head = None

    def run(self, first: int, tokens: list[list[int]], want: list[int]) -> torch.Tensor:
        """Feed `tokens[i]` to row `first + i`; logits after each of the last `want[i]` tokens of each row, in order,
        as one tensor (sum of want, vocabulary). The rows' lengths advance by all tokens fed."""
        import torch

        cache = self.cache
        width = max(map(len, tokens))
        starts = cache.lengths[first : first + len(tokens)]
        span = max(starts) + width
        cache.reserve(len(cache.lengths), span)
        begins = torch.tensor(starts, device=self.device)[:, None]
        positions = begins + torch.arange(width, device=self.device)
        ids = torch.tensor([row + [0] * (width - len(row)) for row in tokens], device=self.device)
        index = torch.arange(first, first + len(tokens), device=self.device)[:, None]
        hidden = self.hidden(first, ids, positions, index, span)
        picked = [(i, j) for i, row in enumerate(tokens) for j in range(len(row) - want[i], len(row))]
        for i, row in enumerate(tokens):
            cache.lengths[first + i] += len(row)
        which, at = torch.tensor(picked, dtype=torch.long, device=self.device).reshape(-1, 2).unbind(1)
        logits: torch.Tensor = self._head(hidden[which.to(hidden.device), at.to(hidden.device)])
        return logits.to(self.device)

    def hidden(
        self, first: int, ids: torch.Tensor, positions: torch.Tensor, index: torch.Tensor, span: int
    ) -> torch.Tensor:
        """The body's last hidden states (rows, tokens, d) for `ids` at `positions`, reading `span` cached tokens."""
        import torch

        cache = self.cache
        cache.first, cache.count, cache.span = first, ids.shape[0], span
        cache.positions, cache.index = positions, index
        reach = torch.arange(span, device=self.device) <= positions[:, :, None]
        mask = torch.zeros(reach.shape, dtype=cache._dtype, device=self.device).masked_fill_(~reach, float("-inf"))
        mask = mask[:, None, None].expand(-1, 1, self._groups, -1, -1).reshape(ids.shape[0], 1, -1, span)
        last: torch.Tensor = self._body(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=False,
            rows=True,
        ).last_hidden_state
        return last
