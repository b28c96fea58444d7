"""Quality by document, and what chance there is that a difference is one: paired bootstrap over documents and seeds.

Documents, not tokens, are drawn: words of one text stand or fall together (Efron and Tibshirani 1993). Knows models and
items; does not know how the models came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from inference.runs.data import IGNORED, Batch, Item
from inference.runs.models import token_scores

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Numbers = npt.NDArray[np.float64]


class Documents:
    """Every document cut into blocks of its own; `owner[row]` is the document of a block."""

    def __init__(self, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, context: int) -> None:
        rows: list[tuple[int, list[int]]] = []
        self.count = len(items)
        self.characters = np.asarray([len(item.text) for item in items], dtype=np.float64)
        for number, item in enumerate(items):
            ids = tokenizer(item.text, add_special_tokens=False, verbose=False)["input_ids"]
            rows += [(number, ids[at : at + context]) for at in range(0, len(ids), context) if len(ids) - at > 1]
        rows.sort(key=lambda row: len(row[1]))  # like lengths together: little padding
        self.owner = np.asarray([number for number, _ in rows])
        self._ids = [ids for _, ids in rows]

    def __len__(self) -> int:
        return len(self._ids)

    def batch(self, rows: Sequence[int]) -> Batch:
        chosen = [self._ids[row] for row in rows]
        width = max(map(len, chosen))
        ids = torch.zeros((len(chosen), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(chosen):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, IGNORED)}


@torch.no_grad()
def scores(model: Any, documents: Documents, *, batch: int = 32, bf16: bool = False) -> Numbers:
    """(documents, 3): summed loss, right next tokens, tokens."""
    found = np.zeros((documents.count, 3))
    device = next(model.parameters()).device
    model.eval()
    for at in range(0, len(documents), batch):
        rows = range(at, min(at + batch, len(documents)))
        piece = {key: value.to(device) for key, value in documents.batch(rows).items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            logits = model(input_ids=piece["input_ids"], attention_mask=piece["attention_mask"], use_cache=False).logits
        losses, right, known = token_scores(logits, piece)
        sums = torch.stack([(losses * known).sum(1), (right & known).sum(1), known.sum(1)], 1).double().cpu().numpy()
        np.add.at(found, documents.owner[at : at + batch], sums)
    return found


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def row(self) -> dict[str, float]:
        return {"value": round(self.value, 5), "low": round(self.low, 5), "high": round(self.high, 5)}


def loss(found: Numbers) -> Any:
    """Nats per token of (…, documents, 3) scores."""
    total = found.sum(-2)
    return total[..., 0] / total[..., 2]


def accuracy(found: Numbers) -> Any:
    total = found.sum(-2)
    return total[..., 1] / total[..., 2]


def compared(
    first: Sequence[Numbers], second: Sequence[Numbers], measure: Any, *, ratio: bool = False, draws: int = 2000
) -> Interval:
    """`measure` of the first minus (or over) that of the second: means over their seeds, documents drawn with
    replacement, the same for both, and seeds of each side likewise.
    """
    chance = np.random.default_rng(1)
    a, b = np.stack(first), np.stack(second)

    def value(rows: Any, left: Any, right: Any) -> float:
        one = float(np.mean(measure(a[left][:, rows])))
        two = float(np.mean(measure(b[right][:, rows])))
        return one / two if ratio else one - two

    everything = np.arange(a.shape[1])
    centre = value(everything, np.arange(len(a)), np.arange(len(b)))
    drawn = [
        value(
            chance.integers(0, a.shape[1], a.shape[1]),
            chance.integers(0, len(a), len(a)),
            chance.integers(0, len(b), len(b)),
        )
        for _ in range(draws)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(centre, float(low), float(high))
