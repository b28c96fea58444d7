"""A teacher that cuts text into other tokens than the student.

What can be compared: at places where both have just ended a token, how sure each is of what comes next (sorted
probabilities, `losses.sorted_distance`). What cannot: inner states, and which token is meant. Where a teacher's very
words matter, sequence-level distillation (`sequence`) needs no common vocabulary at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from inference.distillation import losses
from inference.distillation.objective import summed_loss
from inference.errors import WorkbenchError
from inference.runs.data import IGNORED, Batch, Item
from inference.runs.training import Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def same(first: PreTrainedTokenizerBase, second: PreTrainedTokenizerBase) -> bool:
    """Whether two tokenizers give the same tokens the same numbers."""
    return bool(first.get_vocab() == second.get_vocab())


class AlignedTexts:
    """Texts in both kinds of tokens. A row holds the student's ids, the teacher's, and the pairs of positions
    (student, teacher) after which both stand at the same character.
    """

    def __init__(
        self, items: Sequence[Item], student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase, context: int
    ) -> None:
        self.rows = []
        for item in items:
            text = item.prompt + item.text
            own, ends = _cut(text, student, context)
            other, other_ends = _cut(text, teacher, context)
            place = {end: number for number, end in enumerate(other_ends)}
            both = [(number, place[end]) for number, end in enumerate(ends[:-1]) if end in place]
            if both:
                self.rows.append((own, other, both))
        if not self.rows:
            raise WorkbenchError("The two tokenizers have no boundary in common on these texts.")

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Sequence[int]) -> Batch:
        chosen = [self.rows[row] for row in rows]
        ids, mask = _padded([own for own, _, _ in chosen])
        others, other_mask = _padded([other for _, other, _ in chosen])
        width = max(len(both) for _, _, both in chosen)
        places = torch.full((len(chosen), width, 2), -1)
        for number, (_, _, both) in enumerate(chosen):
            places[number, : len(both)] = torch.tensor(both)
        labels = ids.masked_fill(mask == 0, IGNORED)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": labels,
            "teacher_ids": others,
            "teacher_mask": other_mask,
            "places": places,
        }


class AcrossVocabularies(Objective):
    """Hard labels in the student's tokens and sorted probabilities of the teacher's, `alpha` of the latter."""

    def __init__(self, student: PreTrainedModel, teacher: PreTrainedModel, alpha: float) -> None:
        super().__init__()
        self.student, self.alpha = student, alpha
        self._teacher = (teacher.eval().requires_grad_(False),)

    def body(self) -> nn.Module:
        return self.student

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            known = self._teacher[0](
                input_ids=batch["teacher_ids"], attention_mask=batch["teacher_mask"], use_cache=False
            ).logits
        logits = self.student(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        ).logits
        labels = batch["labels"][:, 1:]
        kept = labels != IGNORED
        hard = functional.cross_entropy(logits[:, :-1][kept].float(), labels[kept])
        row, slot = (batch["places"][:, :, 0] >= 0).nonzero(as_tuple=True)
        here, there = batch["places"][row, slot].unbind(-1)
        soft = losses.sorted_distance(logits[row, here], known[row, there])
        with torch.no_grad():
            facts = {
                "teacher_entropy": losses.entropy(known[row, there]),
                "student_entropy": losses.entropy(logits[row, here]),
            }
        return {"loss": self.alpha * soft + (1 - self.alpha) * hard, "soft": soft, "hard": hard, **facts}

    def held_out(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return summed_loss(self.student, {key: batch[key] for key in ("input_ids", "attention_mask", "labels")})


def _cut(text: str, tokenizer: PreTrainedTokenizerBase, context: int) -> tuple[list[int], list[int]]:
    """(ids, end of each in characters), at most `context` of them."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = list(found["input_ids"])[:context], list(found["offset_mapping"])[:context]
    return ids, [end for _, end in offsets]


def _padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = 1
    return ids, mask
