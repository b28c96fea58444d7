"""Items as one block of tensors, and the reader's loss over a batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from inference.reading.features import ANSWER_FEATURES, SENTENCE_FEATURES
from inference.reading.network import FAR, Batch
from inference.reading.words import KINDS
from inference.training.items import FIELDS, Item

SPANS = 8
PAD = {"ids": 0, "types": 0, "match": 0, "shape": 7, "chars": 0, "owner": -1}
ANSWER_WEIGHT = {"own": 1.0, "open": 1.0, "near": 0.7, "cut": 0.6, "changed": 0.6, "cloze": 1.0, "cloze_changed": 1.0}


@dataclass(slots=True)
class Block:
    """All items, padded: ``pieces (n, 6, t)`` int16, features, labels and lengths."""

    pieces: Tensor
    length: Tensor
    kind: Tensor
    features: Tensor
    facts: Tensor
    real: Tensor
    gold: Tensor
    spans: Tensor
    answerable: Tensor
    weight: Tensor

    def to(self, device: str) -> Block:
        return Block(*(getattr(self, name).to(device) for name in self.__slots__))

    def rows(self, numbers: Sequence[int]) -> Block:
        """Some of the items."""
        chosen = torch.tensor(numbers, dtype=torch.long)
        return Block(*(getattr(self, name)[chosen] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.length)

    def batch(self, rows: Tensor) -> tuple[Batch, dict[str, Tensor]]:
        """The rows as a network batch and its labels, cut to the longest of them."""
        longest = int(self.length[rows].max())
        slots = int(self.real[rows].sum(1).max())
        pieces = self.pieces[rows, :, :longest].long()
        fields = {name: pieces[:, index] for index, name in enumerate(FIELDS)}
        mask = (torch.arange(longest, device=rows.device)[None] < self.length[rows][:, None]).long()
        batch = Batch(
            **fields,
            mask=mask,
            kind=self.kind[rows],
            features=self.features[rows, :slots].float(),
            answer=self.facts[rows],
            real=self.real[rows, :slots],
        )
        labels = {
            "gold": self.gold[rows, :slots],
            "spans": self.spans[rows],
            "answerable": self.answerable[rows],
            "weight": self.weight[rows],
        }
        return batch, labels


def block(items: Sequence[Item]) -> Block:
    """Pad all items to one block."""
    count = len(items)
    longest = max(item.pieces.shape[1] for item in items)
    slots = max(len(item.gold) for item in items)
    pieces = np.zeros((count, len(FIELDS), longest), dtype=np.int16)
    for index, name in enumerate(FIELDS):
        pieces[:, index] = PAD[name]
    features = np.zeros((count, slots, len(SENTENCE_FEATURES)), dtype=np.float16)
    facts = np.zeros((count, len(ANSWER_FEATURES)), dtype=np.float32)
    real = np.zeros((count, slots), dtype=bool)
    gold = np.zeros((count, slots), dtype=bool)
    spans = np.full((count, SPANS, 2), -1, dtype=np.int64)
    for row, item in enumerate(items):
        pieces[row, :, : item.pieces.shape[1]] = item.pieces
        size = len(item.gold)
        features[row, :size] = item.features
        facts[row] = item.answer
        real[row, :size] = True
        gold[row, :size] = item.gold
        for place, span in enumerate(item.spans[:SPANS]):
            spans[row, place] = span
    return Block(
        torch.from_numpy(pieces),
        torch.tensor([item.pieces.shape[1] for item in items]),
        torch.tensor([KINDS.index(item.kind) for item in items]),
        torch.from_numpy(features),
        torch.from_numpy(facts),
        torch.from_numpy(real),
        torch.from_numpy(gold),
        torch.from_numpy(spans),
        torch.tensor([float(item.answerable) for item in items]),
        torch.tensor([ANSWER_WEIGHT[item.mode] for item in items]),
    )


def save_block(data: Block, path: Path) -> None:
    """Write a block; it appears under its name only when complete."""
    partial = path.with_suffix(".partial")
    save_file({name: getattr(data, name).contiguous() for name in Block.__slots__}, partial)
    partial.replace(path)


def load_block(path: Path) -> Block:
    """Read a block that ``save_block`` wrote."""
    return Block(**load_file(path))


def loss(out: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    """Sentence, span and answerability losses, added; ambiguous gold is summed over (marginal likelihood)."""
    gold, spans, answerable = labels["gold"], labels["spans"], labels["answerable"]
    held = gold.any(1)
    scores = out["sentence"]
    sentence = scores.logsumexp(1) - scores.masked_fill(~gold, FAR).logsumexp(1)
    sentence = (sentence * held).sum() / held.sum().clamp(min=1)

    start, end = out["start"].log_softmax(1), out["end"].log_softmax(1)
    known = spans[..., 0] >= 0
    picked = start.gather(1, spans[..., 0].clamp(min=0)) + end.gather(1, spans[..., 1].clamp(min=0))
    answered = -picked.masked_fill(~known, FAR).logsumexp(1)
    nothing = -(start[:, 0] + end[:, 0])
    has_span = known.any(1)
    absent = answerable == 0
    span = (answered * has_span + nothing * (absent & ~has_span) * labels["weight"]).sum()
    span = span / (has_span.sum() + absent.sum()).clamp(min=1)

    answer = functional.binary_cross_entropy_with_logits(out["answer"], answerable, reduction="none")
    answer = (answer * labels["weight"]).sum() / labels["weight"].sum().clamp(min=1)
    return sentence + 0.5 * span + answer
