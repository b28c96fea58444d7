"""Decode steps recorded once and replayed on a CUDA device, where starting each kernel costs more than running it.

A graph fixes shapes and addresses: there is one for each number of rows, tokens per row and length read, each rounded
up, so that few suffice. Rows that only fill up a graph write into the cache's last row, which nobody uses. For few
tokens the recorded step is `fused`'s where the model suits it, else the model's own. Knows CUDA graphs, `rows` and
`fused`. Does not know requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.engines import fused
from inference.engines.rows import RowRunner

if TYPE_CHECKING:
    import torch

    from inference.loading import LoadedModel

_SPANS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
_WIDTHS = (1, 4, 11)
_ROWS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class _Graph:
    replay: torch.cuda.CUDAGraph
    given: torch.Tensor  # (rows, 2 + tokens): number of the row, its length, the tokens' ids
    logits: torch.Tensor


class GraphRunner(RowRunner):
    """A RowRunner that replays recorded steps where it can; what is wider than a few tokens runs as it comes."""

    def __init__(self, loaded: LoadedModel, *, rows: int, tokens: int) -> None:
        """Reserves `rows` rows of `tokens` tokens at once: graphs hold addresses, and growing would void them all."""
        super().__init__(loaded)
        self.cache.reserve(rows + 1, tokens)
        self._graphs: dict[tuple[int, int, int], _Graph] = {}
        self._pool: Any = None
        self._address = 0
        self._fused = fused.FusedStep(self.model, self.cache, loaded.context) if fused.fits(self.model) else None

    def close(self) -> None:
        self._graphs.clear()
        self._fused = None
        super().close()

    def run(self, first: int, tokens: list[list[int]], want: list[int]) -> torch.Tensor:
        """As `RowRunner.run`."""
        width = max(map(len, tokens))
        wide = next((size for size in _WIDTHS if size >= width), width)
        need = max(self.cache.lengths[first : first + len(tokens)]) + wide  # what fills up a row is written too
        self.cache.reserve(len(self.cache.lengths) + 1, need)
        key = self._key(len(tokens), wide, need)
        if first or key is None:
            return super().run(first, tokens, want)
        return self._replayed(key, tokens, want)

    def _key(self, rows: int, wide: int, need: int) -> tuple[int, int, int] | None:
        """The shape to pad to, when one exists that the cache has room for."""
        have_rows, have_tokens = self.cache.shape
        count = next((size for size in _ROWS if size >= rows), None)
        span = next((size for size in _SPANS if size >= need), None)
        if count is None or wide not in _WIDTHS or span is None:
            return None
        span = min(span, have_tokens)
        return (min(count, have_rows - 1), wide, span) if span >= need else None

    def _replayed(self, key: tuple[int, int, int], tokens: list[list[int]], want: list[int]) -> torch.Tensor:
        import torch

        assert self.cache.kv is not None
        if self.cache.kv.data_ptr() != self._address:
            self._graphs.clear()
            self._address = self.cache.kv.data_ptr()
        graph = self._graphs.get(key) or self._record(key)
        count, wide, _ = key
        ids = [row + [0] * (wide - len(row)) for row in tokens]
        ids += [[0] * wide] * (count - len(tokens))
        lengths = self.cache.lengths
        spare = self.cache.shape[0] - 1
        where = [(row, lengths[row]) if row < len(tokens) else (spare, 0) for row in range(count)]
        packed = torch.tensor([[*at, *row] for at, row in zip(where, ids, strict=True)], pin_memory=True)
        graph.given.copy_(packed, non_blocking=True)
        graph.replay.replay()
        for row, fed in enumerate(tokens):
            lengths[row] += len(fed)
        if wide == 1:
            return graph.logits[: len(tokens), 0]
        picked = [(i, j) for i, row in enumerate(tokens) for j in range(len(row) - want[i], len(row))]
        which, at = torch.tensor(picked, device=self.device).unbind(1)
        return graph.logits[which, at]

    def _record(self, key: tuple[int, int, int]) -> _Graph:
        import torch

        count, wide, span = key
        given = torch.zeros(count, 2 + wide, dtype=torch.long, device=self.device)
        given[:, 0] = self.cache.shape[0] - 1  # recording runs the step for real

        def step() -> torch.Tensor:
            # what is made in here belongs to the graph; what it reads from outside must outlive it
            index, ids = given[:, :1], given[:, 2:]
            positions = given[:, 1:2] + torch.arange(wide, device=self.device)
            if self._fused is not None and count * wide <= fused.MOST_TOKENS:
                return self._fused(ids, positions, index.contiguous(), span)
            logits: torch.Tensor = self._head(self.hidden(0, ids, positions, index, span))
            return logits

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = step()
        self._pool = self._pool or graph.pool()
        self._graphs[key] = _Graph(graph, given, logits)
        return self._graphs[key]
