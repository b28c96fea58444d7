"""The trained reader: MiniLM over question and passages together, with a small adapter and three heads.

Weights: the packaged all-MiniLM-L6-v2 encoder (path given by the caller) plus this package's delta: low-rank updates
of its linear layers, embeddings of the marks of ``window``, and the heads. Worker-only (torch, transformers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inference.reading.features import ANSWER_FEATURES, SENTENCE_FEATURES, Floats
from inference.reading.graph import Encode
from inference.reading.window import MATCHES, SHAPES, Window
from inference.reading.words import KINDS

_LINEAR = ("query", "key", "value", "dense")
FAR = -1e4


class LowRank(nn.Module):
    """A frozen linear layer plus ``up(down(x))``; ``fold`` adds the product to the frozen weight."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        for parameter in base.parameters():
            parameter.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        self.drop = nn.Dropout(0.05)

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.base(inputs)
        dropped: Tensor = self.drop(inputs)
        return out + (dropped @ self.down.T) @ self.up.T

    def fold(self) -> nn.Linear:
        """The same map as one plain layer."""
        with torch.no_grad():
            self.base.weight += self.up @ self.down
        base: nn.Linear = self.base
        return base


def adapt(encoder: nn.Module, rank: int) -> None:
    """Give every linear layer of the encoder's blocks a low-rank update."""
    for name, module in list(encoder.named_modules()):
        if isinstance(module, nn.Linear) and name.split(".")[-1] in _LINEAR and "encoder.layer" in name:
            parent = encoder.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], LowRank(module, rank))


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded windows: ``(b, t)`` integer tensors, sentence features ``(b, s, f)``, answer features ``(b, g)``."""

    ids: Tensor
    types: Tensor
    match: Tensor
    shape: Tensor
    chars: Tensor
    mask: Tensor
    owner: Tensor
    kind: Tensor
    features: Tensor
    answer: Tensor
    real: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


def collate(
    windows: Sequence[Window], kinds: Sequence[str], features: Sequence[Floats], answers: Sequence[Floats]
) -> Batch:
    """Pad windows to one batch. ``features[i]`` has one row per sentence of window ``i``, in its order."""
    length = max(len(window.ids) for window in windows)
    slots = max(len(window.sentences) for window in windows)

    def padded(name: str, fill: int) -> Tensor:
        return torch.tensor(
            [getattr(window, name) + [fill] * (length - len(window.ids)) for window in windows], dtype=torch.long
        )

    table = torch.zeros(len(windows), slots, len(SENTENCE_FEATURES))
    real = torch.zeros(len(windows), slots, dtype=torch.bool)
    for index, rows in enumerate(features):
        table[index, : len(rows)] = torch.from_numpy(rows).float()
        real[index, : len(rows)] = True
    mask = torch.tensor([[1] * len(window.ids) + [0] * (length - len(window.ids)) for window in windows])
    return Batch(
        padded("ids", 0),
        padded("types", 0),
        padded("match", 0),
        padded("shape", 7),
        padded("chars", 0),
        mask,
        padded("owner", -1),
        torch.tensor([KINDS.index(kind) for kind in kinds]),
        table,
        torch.stack([torch.from_numpy(row).float() for row in answers]),
        real,
    )


class ReaderNetwork(nn.Module):
    """Scores every sentence, every span and whether there is an answer at all."""

    def __init__(self, encoder: nn.Module, characters: int, hidden: int = 384) -> None:
        super().__init__()
        self.encoder = encoder
        self.runtime: Encode | None = None  # what runs the encoder in the place of torch
        self.match = nn.Embedding(MATCHES, hidden)
        self.shape = nn.Embedding(SHAPES, hidden)
        self.kind = nn.Embedding(len(KINDS), hidden)
        self.chars = nn.Embedding(characters + 1, hidden, padding_idx=0)
        for table in (self.match, self.shape, self.kind, self.chars):
            nn.init.normal_(table.weight, std=0.01)
        with torch.no_grad():
            self.chars.weight[0].zero_()
        self.span = nn.Linear(hidden, 2)
        self.attend = nn.Linear(hidden, 1)
        count, facts = len(SENTENCE_FEATURES), len(ANSWER_FEATURES)
        self.sentence = nn.Sequential(
            nn.Linear(2 * hidden + count + 2, 128), nn.GELU(), nn.Dropout(0.1), nn.Linear(128, 1)
        )
        self.linear = nn.Linear(count, 1, bias=False)
        self.answer = nn.Sequential(
            nn.Linear(2 * hidden + facts + 4, 128), nn.GELU(), nn.Dropout(0.1), nn.Linear(128, 1)
        )

    def lower(self, dtype: torch.dtype) -> None:
        """Run the encoder and its input in ``dtype``; the heads stay in float32."""
        for part in (self.encoder, self.match, self.shape, self.kind, self.chars):
            part.to(dtype)

    def own(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All trained parameters, by name: everything but the frozen encoder."""
        return ((name, value) for name, value in self.named_parameters() if value.requires_grad)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """``sentence (b, s)``, ``start`` and ``end (b, t)``, ``answer (b,)``: logits; padding is ``FAR``."""
        encoder: Any = self.encoder
        runtime: Encode | None = self.runtime
        inside = batch.match >= 7
        asked = (batch.types == 0) & inside & (batch.mask == 1)
        embedded = (
            encoder.embeddings.word_embeddings(batch.ids)
            + self.match(batch.match)
            + self.shape(batch.shape)
            + self.chars(batch.chars)
            + self.kind(batch.kind)[:, None] * asked[..., None]
        )
        if runtime is not None:
            states: Tensor = runtime(embedded, batch.types, batch.mask)
        else:
            given = {"inputs_embeds": embedded, "token_type_ids": batch.types, "attention_mask": batch.mask}
            states = encoder(**given).last_hidden_state
        states = states.to(self.span.weight.dtype)
        spans = self.span(states).float()
        content = (batch.owner >= 0) | (torch.arange(states.shape[1], device=states.device) == 0)
        start = spans[..., 0].masked_fill(~content, FAR)
        end = spans[..., 1].masked_fill(~content, FAR)

        slots = torch.arange(batch.features.shape[1], device=states.device)
        member = batch.owner[:, None, :] == slots[None, :, None]
        gaze = self.attend(states).float().squeeze(-1)[:, None, :].masked_fill(~member, FAR).softmax(-1)
        pooled = (gaze * member).to(states.dtype) @ states
        peak = torch.stack(
            [side[:, None, :].masked_fill(~member, FAR).amax(-1) - side[:, :1] for side in (start, end)], -1
        ).clamp(-30.0, 30.0)
        first = states[:, :1].expand(-1, pooled.shape[1], -1)
        marks = batch.features.to(states.dtype)
        logits = self.sentence(torch.cat((pooled, pooled * first, marks, peak.to(states.dtype) * 0.1), -1))
        scores = (logits.float() + self.linear(batch.features.to(logits.dtype)).float()).squeeze(-1)
        scores = scores.masked_fill(~batch.real, FAR)
        share = scores.softmax(-1)
        best = (share[:, None, :].to(states.dtype) @ pooled).squeeze(1)
        top = scores.topk(2, -1).values if scores.shape[1] > 1 else scores.expand(-1, 2)
        facts = torch.cat(
            (
                batch.answer,
                (top[:, :1] - top[:, 1:]).clamp(max=10.0),
                share.amax(-1, keepdim=True),
                peak.amax(1) * 0.1,
            ),
            -1,
        )
        answer = self.answer(torch.cat((states[:, 0], best, facts.to(states.dtype)), -1)).float().squeeze(-1)
        return {"sentence": scores, "start": start, "end": end, "answer": answer}
