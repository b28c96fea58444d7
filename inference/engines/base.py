"""What every engine takes and gives: one protocol, ``stream(request) -> deltas``.

The stream is the only generation loop there is; a blocking call drains it (``collect``). The types here know
no model, no tokenizer and no product; character offsets are Python string offsets, ends exclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from inference.config import GenerationOptions

DeltaKind = Literal["text", "thinking"]
FinishReason = Literal["stop", "length", "cancelled", "deadline"]


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrieved passage. ``sentences`` are spans in ``text``, in order, computed by the caller."""

    id: str
    text: str
    title: str = ""
    headings: tuple[str, ...] = ()
    score: float = 0.0
    sentences: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for start, end in self.sentences:
            if not 0 <= start < end <= len(self.text):
                raise ValueError(f"sentence {start}:{end} lies outside the text of passage {self.id!r}")


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier turn of the conversation; ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quotation: ``passages[passage].text[char_start:char_end]``; ``passage`` counts from 0.

    ``score`` is the probability that this quotation holds the answer, given that the passages hold it at all.
    """

    passage: int
    char_start: int
    char_end: int
    score: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the passages say to a question.

    ``answerable`` is a calibrated probability that ``evidence`` answers; ``evidence`` is sorted best first.
    """

    answerable: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Everything an engine may use for one answer.

    `caller` names who asks, so that engines which serve many are fair between them. `cache_key` names who may share
    work on prompts: what was computed for one request helps another only when both carry the same key that is not
    empty; it must differ between people with different access.
    """

    question: str
    passages: tuple[Passage, ...]
    messages: tuple[Message, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    options: GenerationOptions = field(default_factory=GenerationOptions)
    caller: str = ""
    cache_key: str = ""

    def __post_init__(self) -> None:
        for item in self.evidence:
            if not 0 <= item.passage < len(self.passages):
                raise ValueError(f"evidence names passage {item.passage} of {len(self.passages)}")
            if not 0 <= item.char_start < item.char_end <= len(self.passages[item.passage].text):
                raise ValueError(f"evidence {item.char_start}:{item.char_end} lies outside its passage")


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer (``text``) or of the reasoning before it (``thinking``)."""

    kind: DeltaKind
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The last item of every stream that ends by itself."""

    reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0


@runtime_checkable
class Engine(Protocol):
    """An engine answers one request at a time or many at once; it is safe to call from several threads."""

    name: str
    model: str
    needs_prompt: bool

    @property
    def reasons(self) -> bool:
        """Whether it thinks before it answers (the R1 family)."""
        ...

    def stream(self, request: GenerationRequest, *, cancelled: Callable[[], bool]) -> Iterator[Delta | Finish]:
        """Yield deltas, then one ``Finish``. ``cancelled`` is asked at every step. Raises
        ``InferenceError``.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds; calling it twice is harmless."""
        ...


def collect(stream: Iterable[Delta | Finish]) -> tuple[str, str, Finish]:
    """Drain a stream into ``(text, thinking, finish)``."""
    parts: dict[str, list[str]] = {"text": [], "thinking": []}
    finish = Finish("stop")
    for item in stream:
        if isinstance(item, Finish):
            finish = item
        else:
            parts[item.kind].append(item.text)
    return "".join(parts["text"]), "".join(parts["thinking"]), finish
