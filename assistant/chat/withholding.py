"""Sentences of a language model that no cited passage supports stay back, where the administrator wants that.

Knows a text that grows and a judgement of whole sentences. Does not know passages, models or settings: whether a
sentence is supported is for `citations` to say.
"""

from __future__ import annotations

from collections.abc import Callable

from . import citations


class Sieve:
    """Lets supported sentences through, each once it is whole; `withheld` counts the others.

    What comes out has its markers after each sentence, so that it splits into the same sentences again.
    """

    def __init__(self, supported: Callable[[citations.Sentence], bool]) -> None:
        self._supported = supported
        self._heard = ""
        self._judged = 0  # sentences
        self._breaks = 0  # before the next sentence, those of sentences left out among them
        self._end = ""
        self.withheld = 0

    def feed(self, text: str, *, last: bool = False) -> str:
        """What may be shown now. `last`: nothing comes after `text`, so the last sentence is whole too."""
        self._heard += text
        sentences = citations.split(self._heard, quoted=False)
        whole = sentences if last else sentences[:-1]
        shown = "".join(self._judge(sentence) for sentence in whole[self._judged :])
        self._judged = max(self._judged, len(whole))
        return shown

    def _judge(self, sentence: citations.Sentence) -> str:
        self._breaks = max(self._breaks, sentence.breaks)
        if not self._supported(sentence):
            self.withheld += 1
            return ""
        joint = ""
        if self._end:
            joint = "\n" * self._breaks or ("" if citations.wide(self._end) else " ")
        self._breaks = 0
        self._end = sentence.text[-1:]
        markers = "".join(f"[{marker}]" for marker in sentence.markers)
        if markers:
            self._end = "]"
        return f"{joint}{sentence.text} {markers}".rstrip()
