"""How well a model answers a file of questions: each is asked with its passage, the answer judged against the expected.

The files are those the workbench learns from (`inference.runs.data`): rows {"messages", "answer"} or {"prompt",
"answer"}, the passage standing in what is asked. Knows engines and texts; does not know where models come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from inference.config import GenerationOptions
from inference.engines.base import Engine, GenerationRequest, Message, collect
from inference.errors import PromptTooLong, WorkbenchError
from inference.evaluation.answers import Marks, judge, mean
from inference.runs.data import Item, read

AT_ONCE = 8  # requests; engines that answer one at a time let the others wait
OPTIONS = GenerationOptions(max_new_tokens=256)  # greedy, with room to think first
_END_OF_THOUGHT = "</think>"


@dataclass(frozen=True, slots=True)
class Asked:
    """Means over all questions, each 0 to 1. One that does not fit into the model's context counts as wrong."""

    questions: int
    f1: float
    rouge_l: float
    exact: float
    too_long: int


def questions(path: Path) -> list[Item]:
    """The rows of a JSON Lines file of questions. Raises WorkbenchError naming the file and the line."""
    if path.suffix != ".jsonl":
        raise WorkbenchError(f"{path.name} is not a question file.", hint="Name a JSON Lines file (.jsonl).")
    items = read([path])
    for item in items:
        if not (item.prompt or item.messages):
            raise WorkbenchError(
                f"{path.name}, {item.id}: a text, not a question.",
                hint='A row is {"messages", "answer"} or {"prompt", "answer"}.',
            )
    return items


def ask(engine: Engine, items: Sequence[Item], options: GenerationOptions = OPTIONS) -> Asked:
    """Ask a model all questions; what it thinks before an answer is not judged. Raises InferenceError, or ValueError
    when there is no question."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = list(pool.map(lambda item: _said(engine, item, options), items))
    marks = [
        Marks(0.0, 0.0, 0.0) if text is None else judge(text, [item.text.rpartition(_END_OF_THOUGHT)[2]])
        for item, text in zip(items, said, strict=True)
    ]
    means = mean(marks)
    return Asked(len(items), means.f1, means.rouge_l, means.exact, said.count(None))


def _said(engine: Engine, item: Item, options: GenerationOptions) -> str | None:
    """The answer; None when the question is too long for the model."""
    turns = tuple(Message(role, content) for role, content in item.messages) or (Message("user", item.prompt),)
    request = GenerationRequest(turns[-1].content, (), turns, options=options, caller=item.id)
    try:
        return collect(engine.stream(request, cancelled=lambda: False))[0]
    except PromptTooLong:
        return None
