"""Question files (``NAME.contexts.jsonl`` and ``NAME.questions.jsonl``) as reading examples.

A context longer than a chunk is cut into passages at sentence ends, as the product's index would. ``group``
names what examples must not share between training and test: the article, or the context where sets have no
articles.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engines.base import Passage
from inference.reading.splitting import split
from inference.reading.words import words

Splitter = Callable[[str], "tuple[tuple[int, int], ...]"]
PASSAGE_WORDS = 190


@dataclass(frozen=True, slots=True)
class Example:
    """A question and the passages of its context; ``gold`` are (passage, sentence) pairs that answer it."""

    id: str
    set: str
    group: str
    question: str
    answers: tuple[str, ...]
    answerable: bool
    context: str
    passages: tuple[Passage, ...]
    gold: frozenset[tuple[int, int]]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def splitter_named(name: str) -> Splitter:
    """The function that MODULE:FUNCTION names; ours when empty. Raises ImportError, AttributeError."""
    if not name:
        return split
    module, _, function = name.partition(":")
    chosen = getattr(importlib.import_module(module), function)
    return lambda text: tuple(chosen(text))


def fold(text: str) -> str:
    """Text as answers are compared: compatibility forms folded, lower case, no punctuation, no spacing."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).lower())


def holds(sentence: str, answers: tuple[str, ...]) -> bool:
    """Whether the sentence holds one of the answers; of an answer of several sentences, whether it is a
    part.
    """
    return holds_folded(fold(sentence), sentence, answers)


def holds_folded(folded: str, sentence: str, answers: tuple[str, ...]) -> bool:
    """``holds`` with the folded sentence at hand. A short answer must stand as words of its own."""
    for answer in answers:
        wanted = fold(answer)
        if not wanted or not folded:
            continue
        if wanted in folded and (len(wanted) > 4 or not wanted.isascii() or _stands(answer, sentence)):
            return True
        if len(folded) > 12 and folded in wanted and len(wanted) > 40:
            return True
    return False


def _stands(answer: str, sentence: str) -> bool:
    pattern = r"(?<!\w)" + r"\W*".join(re.escape(token) for token in words(answer)) + r"(?!\w)"
    return bool(re.search(pattern, sentence, re.IGNORECASE))


def passages_of(context: str, title: str, text: str, splitter: Splitter = split) -> tuple[Passage, ...]:
    """The context as passages of at most about 190 words (256 word pieces), cut between sentences."""
    found: list[Passage] = []
    block: list[tuple[int, int]] = []
    size = 0

    def close() -> None:
        if block:
            start, end = block[0][0], block[-1][1]
            spans = tuple((a - start, b - start) for a, b in block)
            name = f"{context}/{len(found)}"
            found.append(Passage(name, text[start:end], title.replace("_", " "), sentences=spans))
            block.clear()

    for span in splitter(text):
        length = len(words(text[span[0] : span[1]]))
        if block and size + length > PASSAGE_WORDS:
            close()
            size = 0
        block.append(span)
        size += length
    close()
    return tuple(found)


def load(folder: Path, name: str, splitter: Splitter = split) -> list[Example]:
    """All examples of one set whose context is named by ``ctx_id``; multi-context questions are left out."""
    contexts = {row["ctx_id"]: row for row in rows(folder / f"{name}.contexts.jsonl")}
    cut = {key: passages_of(key, row.get("title", ""), row["text"], splitter) for key, row in contexts.items()}
    titles = [row.get("title", "") for row in contexts.values()]
    by_title = len(set(titles)) < len(titles) and len(set(titles)) > 1
    folded: dict[str, list[tuple[int, int, str, str]]] = {}
    examples = []
    for row in rows(folder / f"{name}.questions.jsonl"):
        key = row["ctx_id"]
        if key not in contexts:
            continue
        if key not in folded:
            folded[key] = [
                (number, index, fold(passage.text[start:end]), passage.text[start:end])
                for number, passage in enumerate(cut[key])
                for index, (start, end) in enumerate(passage.sentences)
            ]
        answers = tuple(str(answer) for answer in row["answers"])
        gold = frozenset(
            (number, index) for number, index, plain, text in folded[key] if holds_folded(plain, text, answers)
        )
        group = f"{name}:{contexts[key].get('title', '') if by_title else key}"
        examples.append(
            Example(
                str(row["id"]),
                name,
                group,
                row["question"],
                answers,
                bool(row["answerable"]),
                key,
                cut[key],
                gold,
            )
        )
    return examples
