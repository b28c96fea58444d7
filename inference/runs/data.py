"""Training data: files become items, items become blocks of tokens.

An item is a text to continue, or a prompt with the answer to learn. Knows files and tokenizers; knows no model. Files:

    *.jsonl      rows {"text"}, {"prompt", "answer"[, "reasoning"]} or {"messages": [{role, content}], "answer"}
    *.tar.xz     prose: every .md, .txt, .rst, .mdx and .erb file is one text
    *.txt, *.md  one text

Splits are drawn by the hash of an item's group (its document), so that parts of one document never stand on both sides.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from inference.errors import WorkbenchError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # label of a position that is not learned
_PROSE = (".md", ".txt", ".rst", ".mdx", ".erb")
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Item:
    """`prompt` is given, `text` is learned; `messages` are rendered by a chat template in place of `prompt`."""

    id: str
    text: str
    prompt: str = ""
    group: str = ""
    messages: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return self.group or self.id


class Examples(Protocol):
    """Rows that can be put together into batches; the same row is the same tensors every time."""

    def __len__(self) -> int: ...

    def batch(self, rows: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask`, `labels`, each (rows, length); `packed` is there when all of it is learned."""
        ...


def read(paths: Sequence[Path]) -> list[Item]:
    """All items of the files, in order. Raises WorkbenchError naming file and line."""
    found = [item for path in paths for item in _items(path)]
    if not found:
        raise WorkbenchError("The data files hold no items.", hint="See inference/runs/data.py for the formats.")
    return found


def split(items: Sequence[Item], share: float, *, salt: str = "") -> tuple[list[Item], list[Item]]:
    """(the rest, about `share` of the groups), the same in every run."""
    held = [_chance(salt + item.key) < share for item in items]
    return (
        [item for item, out in zip(items, held, strict=True) if not out],
        [item for item, out in zip(items, held, strict=True) if out],
    )


class TextBlocks:
    """Texts joined by the end token and cut into blocks of `context` tokens; every token is learned."""

    def __init__(self, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, context: int) -> None:
        ids: list[int] = []
        end = tokenizer.eos_token_id
        for start in range(0, len(items), 256):
            texts = [item.prompt + item.text for item in items[start : start + 256]]
            for row in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
                ids += row
                if end is not None:
                    ids.append(end)
        count = len(ids) // context
        if not count:
            raise WorkbenchError(f"The texts have {len(ids)} tokens; one block needs {context}.")
        self.blocks = torch.tensor(ids[: count * context], dtype=torch.long).view(count, context)

    @classmethod
    def of(cls, blocks: torch.Tensor) -> TextBlocks:
        """Blocks (count, context) that were cut before."""
        found = cls.__new__(cls)
        found.blocks = blocks
        return found

    def __len__(self) -> int:
        return len(self.blocks)

    def batch(self, rows: Sequence[int]) -> Batch:
        ids = self.blocks[torch.as_tensor(rows)]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids, "packed": torch.ones(())}


class Answers:
    """One prompt and answer a row; only the answer and its end are learned. What is too long is cut from the left of
    the prompt; an answer that does not fit is left out, and `left_out` counts them.
    """

    def __init__(self, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, context: int) -> None:
        self.rows: list[tuple[list[int], int]] = []
        self.left_out = self.cut = 0
        self.pad = tokenizer.eos_token_id or 0  # masked; a tokenizer's own padding may lie outside the model's table
        for item in items:
            before, after = tokens_of(item, tokenizer)
            if len(after) >= context:
                self.left_out += 1
                continue
            room = context - len(after)
            self.cut += len(before) > room
            before = before[-room:]
            self.rows.append((before + after, len(before)))
        if not self.rows:
            raise WorkbenchError(f"No answer fits into {context} tokens.", hint="Choose a larger --context.")

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Sequence[int]) -> Batch:
        chosen = [self.rows[row] for row in rows]
        longest = max(len(ids) for ids, _ in chosen)
        ids = torch.full((len(chosen), longest), self.pad)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for place, (row, start) in enumerate(chosen):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
            labels[place, start : len(row)] = torch.tensor(row[start:])
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def examples(items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, context: int) -> TextBlocks | Answers:
    """Blocks when every item is plain text, answers when every item has a prompt. Raises WorkbenchError for a mix."""
    with_prompt = sum(1 for item in items if item.prompt or item.messages)
    if with_prompt == 0:
        return TextBlocks(items, tokenizer, context)
    if with_prompt == len(items):
        return Answers(items, tokenizer, context)
    raise WorkbenchError("The data mixes plain texts and questions.", hint="Train on one kind at a time.")


def tokens_of(item: Item, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """(prompt, answer with its end) in tokens; messages go through the tokenizer's chat template."""
    prompt = item.prompt
    if item.messages:
        turns = [{"role": role, "content": content} for role, content in item.messages]
        if tokenizer.chat_template:
            prompt = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        else:
            prompt = "".join(f"{turn['content']}\n" for turn in turns)
    before = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    after = list(tokenizer(item.text, add_special_tokens=False, verbose=False)["input_ids"])
    if tokenizer.eos_token_id is not None:
        after.append(tokenizer.eos_token_id)
    return list(before), after


def _items(path: Path) -> Iterator[Item]:
    try:
        if path.name.endswith(".jsonl"):
            yield from _lines(path)
        elif ".tar" in path.name:
            yield from _archive(path)
        else:
            yield Item(path.name, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tarfile.TarError) as error:
        raise WorkbenchError(f"{path} cannot be read: {error}.") from error


def _lines(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield _row(json.loads(line), f"{path.name}:{number}")
            except (ValueError, KeyError, TypeError) as error:
                hint = 'A row is {"text"}, {"prompt", "answer"} or {"messages", "answer"}.'
                raise WorkbenchError(f"{path.name}, line {number}: {error!r}.", hint=hint) from error


def _row(row: Mapping[str, Any], name: str) -> Item:
    known = str(row.get("id", name))
    group = str(row.get("group", row.get("document", "")))
    if "text" in row:
        return Item(known, str(row["text"]), group=group)
    answer = str(row["answer"])
    if row.get("reasoning"):
        answer = f"<think>\n{row['reasoning']}\n</think>\n\n{answer}"
    messages = tuple((str(turn["role"]), str(turn["content"])) for turn in row.get("messages", ()))
    prompt = "" if messages else str(row["prompt"])
    if not (prompt or messages) or not answer:
        raise ValueError("an empty prompt or answer")
    return Item(known, answer, prompt, group, messages)


def _archive(path: Path) -> Iterator[Item]:
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() and member.name.endswith(_PROSE) else None
            if stream is not None:
                text = stream.read().decode("utf-8", "replace")
                if text.strip():
                    yield Item(member.name, text, group=member.name)


def _chance(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16**12
