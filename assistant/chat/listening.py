"""Hears what an engine says: cleans it, publishes it as it comes, and a citation for every sentence that is complete.

Knows the stream of pieces and the passages that were shown. Does not know rights, rows, evidence or how the whole
answer is judged at its end (`answering`).
"""

from __future__ import annotations

from django.conf import settings

from assistant.guardrails import masking, output
from inference.engines.base import Finish

from . import citations
from .ahead import Ahead
from .clock import Clock
from .material import Material, quote
from .screening import Screen
from .streaming import Publisher
from .withholding import Sieve

LOOK_CHARS = 40  # an answer is searched for parts of the prompt whenever so much was added,
LOOK_BACK_CHARS = 1000  # together with so much before it


class PromptTold(Exception):
    """The model gives away its prompt: what it says is not shown."""


class Listener:
    """What one engine said, as far as it has come. `quoted`: it speaks in whole quotations, each already certain.

    `heard` is all of its answer, `text` what is shown of that; `tokens` are those of the prompt and of the answer.
    """

    def __init__(self, material: Material, live: Publisher, clock: Clock, *, quoted: bool) -> None:
        self.quoted = quoted
        self.heard = self.text = self.thinking = ""
        self.finish = "stop"
        self.tokens = (0, 0)
        self._material = material
        self._live = live
        self._clock = clock
        self._reader = citations.MarkerReader(len(material.passages))
        withholds = not quoted and settings.UNSUPPORTED_SENTENCES == "withhold"
        self._sieve = Sieve(self._supported) if withholds else None
        self._cited: set[tuple[int, str]] = set()
        self._looked = 0  # how far `heard` was searched for parts of the prompt

    @property
    def withheld(self) -> int:
        """Sentences that stay back because no cited passage supports them."""
        return self._sieve.withheld if self._sieve else 0

    def listen(self, pieces: Ahead) -> None:
        """Until the engine ends. Raises what it raises, and PromptTold."""
        screens = {"text": Screen(verbatim=self.quoted), "thinking": Screen()}
        names = {kind: masking.Restorer(self._material.table) for kind in screens}
        for item in pieces:
            self._clock.stages.setdefault("model", pieces.first_ms)
            self._clock.stages.setdefault("held", pieces.held_ms)
            if isinstance(item, Finish):
                self.finish, self.tokens = item.reason, (item.prompt_tokens, item.completion_tokens)
                break
            piece = screens[item.kind].feed(names[item.kind].feed(item.text))
            if item.kind == "thinking":
                self._think(piece)
            else:
                self._speak(self._reader.feed(piece))
        thought, rest = (screens[kind].feed(names[kind].end()) + screens[kind].end() for kind in ("thinking", "text"))
        self._think(thought)
        self._speak(self._reader.feed(rest) + self._reader.end(), last=True)

    def _supported(self, sentence: citations.Sentence) -> bool:
        return any(quote(sentence.text, marker, self._material).verified for marker in sentence.markers)

    def _think(self, piece: str) -> None:
        """Nothing checks the thinking: it stays back where unsupported sentences do."""
        if piece and not self._sieve:
            self._clock.stages.setdefault("first", self._clock.elapsed())
            self.thinking += piece
            self._live.publish("thinking", {"text": piece})

    def _speak(self, piece: str, *, last: bool = False) -> None:
        self.heard += piece
        self._search_for_the_prompt(last)
        if self._sieve:
            piece = self._sieve.feed(piece, last=last)
        if piece:
            self._clock.stages.setdefault("first", self._clock.elapsed())
            self.text += piece
            self._live.publish("delta", {"text": piece})
        if piece or last:
            self._cite(last)

    def _search_for_the_prompt(self, last: bool) -> None:
        if self._material.hidden and (last or len(self.heard) - self._looked >= LOOK_CHARS):
            if output.leaks(self.heard[max(0, self._looked - LOOK_BACK_CHARS) :], self._material.hidden):
                raise PromptTold("the answer repeats the prompt")
            self._looked = len(self.heard)

    def _cite(self, last: bool) -> None:
        """A citation for each marker of the sentences that are complete, once."""
        sentences = citations.split(self.text, quoted=self.quoted)
        whole = self.quoted or last or self._sieve is not None
        for sentence in sentences if whole else sentences[:-1]:
            for marker in sentence.markers:
                if (marker, sentence.text) in self._cited:
                    continue
                self._cited.add((marker, sentence.text))
                found = quote(sentence.text, marker, self._material)
                self._live.publish(
                    "citation",
                    {
                        "marker": marker,
                        "document": found.document,
                        "title": found.title,
                        "collection": found.collection,
                        "page": found.page,
                        "quote": found.text,
                        "verified": found.verified,
                    },
                )
