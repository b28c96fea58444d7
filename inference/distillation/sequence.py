"""Sequence-level distillation: the teacher writes, the student learns what it wrote (Kim and Rush 2016).

The output is a data file of the workbench: prompts with the teacher's answers, and its reasoning where it shows any, so
that students of any vocabulary can learn from it. One line at a time is kept, so a killed run goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from inference.errors import WorkbenchError
from inference.runs.data import Item, tokens_of
from inference.runs.folder import write_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_END_OF_THOUGHT = "</think>"


def write(
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Item],
    out: Path,
    *,
    new_tokens: int = 256,
    prompt_tokens: int = 0,
    temperature: float = 0.0,
    batch: int = 16,
    seed: int = 1,
    keep: Callable[[Item, str], bool] = lambda item, answer: bool(answer),
    say: Callable[[str], None] = lambda words: print(words, file=sys.stderr),  # noqa: T201 - progress of a command
) -> int:
    """Answer every prompt into `out` (JSON lines); how many are there. Plain texts are continued after their first
    `prompt_tokens` tokens. `keep` refuses answers that should not be learned from (an answer that the passage does not
    hold, say). Greedy at temperature 0.
    """
    if not prompt_tokens and any(not (item.prompt or item.messages) for item in items):
        raise WorkbenchError("Plain texts need --prompt-tokens: how much of each the teacher is given.")
    written = list(_rows(out))
    if out.is_file():  # a line cut off by a kill is dropped
        write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written))
    done = {row["id"] for row in written}
    todo = [item for item in items if item.id not in done]
    width = int(getattr(teacher.config, "max_position_embeddings", 0) or 4096)
    teacher.eval()
    with out.open("a", encoding="utf-8") as file:
        for at in range(0, len(todo), batch):
            piece = todo[at : at + batch]
            torch.manual_seed(seed * 1_000_003 + at)
            prompts = [_prompt(item, tokenizer, prompt_tokens)[-(width - new_tokens) :] for item in piece]
            for item, prompt, text in zip(
                piece, prompts, _written(teacher, tokenizer, prompts, new_tokens, temperature), strict=True
            ):
                reasoning, answer = _parted(text)
                if keep(item, answer):
                    row: dict[str, Any] = {"id": item.id, "group": item.key, "answer": answer, "reasoning": reasoning}
                    if item.messages:
                        row["messages"] = [{"role": role, "content": content} for role, content in item.messages]
                    else:
                        row["prompt"] = item.prompt or tokenizer.decode(prompt)
                else:
                    row = {"id": item.id, "refused": True}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            say(f"written {min(at + batch, len(todo))} of {len(todo)}")
    kept = [row for row in _rows(out) if not row.get("refused")]
    final = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    write_text(out.with_name(f"{out.stem}.kept.jsonl"), final)
    return len(kept)


@torch.inference_mode()
def _written(
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    temperature: float,
) -> list[str]:
    pad = tokenizer.eos_token_id or 0
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), pad)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):  # on the left: generation goes on at the right
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    sampling: dict[str, Any] = (
        {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    )
    model: Any = teacher
    out = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=new_tokens,
        pad_token_id=pad,
        **sampling,
    )
    return [str(tokenizer.decode(row[longest:], skip_special_tokens=True)).strip() for row in out]


def _prompt(item: Item, tokenizer: PreTrainedTokenizerBase, count: int) -> list[int]:
    if item.prompt or item.messages:
        return tokens_of(item, tokenizer)[0]
    return list(tokenizer(item.text, add_special_tokens=False, verbose=False)["input_ids"])[:count]


def _parted(text: str) -> tuple[str, str]:
    before, separator, after = text.partition(_END_OF_THOUGHT)
    return (before.replace("<think>", "").strip(), after.strip()) if separator else ("", text)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return
