"""From answer text to parts that a template prints: paragraphs, lists, sentences, markers.

Pure: values in, dataclasses out. A closed subset of Markdown (paragraphs, "-" and "1." lists); nothing else in model
text has a meaning, and escaping stays the template's. `static/web/js/prose.js` follows the same rules while streaming.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, Protocol, TypeVar

Kind = Literal["p", "ul", "ol"]
ROOM = 180

_BULLET = re.compile(r"^\s*[-*•]\s+")
_NUMBER = re.compile(r"^\s*(\d{1,3})[.)、]\s+")
_OPENING = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)、])\s*$")  # a list sign that was split off as a sentence of its own


class Part(Protocol):
    """What is needed of a sentence: `chat.presentation.SentenceView` has it."""

    @property
    def text(self) -> str: ...
    @property
    def markers(self) -> tuple[int, ...]: ...
    @property
    def verified(self) -> bool: ...
    @property
    def breaks(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence without its markers. `gap` says whether a space stands before it."""

    text: str
    markers: tuple[int, ...]
    verified: bool
    gap: bool


@dataclass(slots=True)
class Line:
    """A line of a paragraph or an entry of a list. `number` is the one that a numbered entry had in the text: a
    quotation that begins at step 2 stays step 2."""

    sentences: list[Sentence]
    number: int | None = None


@dataclass(slots=True)
class Block:
    """A paragraph (an item per line) or a list (an item per entry)."""

    kind: Kind
    items: list[Line] = field(default_factory=list)


def blocks(parts: Sequence[Part]) -> list[Block]:
    """Paragraphs and lists of an answer, from its sentences in order."""
    result: list[Block] = []
    sign = ""
    starts_line, starts_block = True, True
    for part in parts:
        if part.breaks and result:
            starts_line, starts_block = True, starts_block or part.breaks > 1
        text = sign + part.text
        sign = ""
        if starts_line and _OPENING.match(text):
            sign = text.rstrip() + " "
            continue
        bullet, number = (_BULLET.match(text), _NUMBER.match(text)) if starts_line else (None, None)
        sentence = Sentence(text, part.markers, part.verified, gap=False)
        if entry := bullet or number:
            kind: Kind = "ul" if bullet else "ol"
            if not result or result[-1].kind != kind:
                result.append(Block(kind))
            shown = replace(sentence, text=text[entry.end() :])
            result[-1].items.append(Line([shown], int(number.group(1)) if number else None))
        elif starts_line and (starts_block or not result or result[-1].kind != "p"):
            result.append(Block("p", [Line([sentence])]))
        elif starts_line:
            result[-1].items.append(Line([sentence]))
        else:
            line = result[-1].items[-1].sentences
            line.append(replace(sentence, gap=_needs_gap(line[-1].text, text)))
        starts_line = starts_block = False
    return result


def _needs_gap(before: str, after: str) -> bool:
    """Chinese and Japanese sentences follow each other without a space."""
    return not (before[-1:] in "。！？；」』”）" or before[-1:].isspace() or after[:1].isspace())


class Marked(Protocol):
    """What is needed of a quotation: `chat.presentation.CitationView` has it."""

    @property
    def marker(self) -> int: ...
    @property
    def page(self) -> int: ...
    @property
    def quote(self) -> str: ...
    @property
    def paragraph(self) -> str: ...
    @property
    def char_start(self) -> int: ...
    @property
    def char_end(self) -> int: ...
    @property
    def verified(self) -> bool: ...


Quote = TypeVar("Quote", bound=Marked)


@dataclass(slots=True)
class Source(Generic[Quote]):
    """What one marker stands for: a passage, with one or several quotations from it."""

    marker: int
    quotes: list[Quote] = field(default_factory=list)


def sources(citations: Iterable[Quote]) -> list[Source[Quote]]:
    """Quotations gathered by marker, in the order of the markers."""
    found: dict[int, Source[Quote]] = {}
    for citation in citations:
        found.setdefault(citation.marker, Source(citation.marker)).quotes.append(citation)
    return [found[marker] for marker in sorted(found)]


@dataclass(slots=True)
class Excerpt(Generic[Quote]):
    """Words of a page around one quotation, or around several that stand near each other: (words, whether quoted)."""

    quotes: list[Quote]
    parts: list[tuple[str, bool]]


def excerpts(source: Source[Quote]) -> list[Excerpt[Quote]]:
    """The quotations of a source in the order of its text; what stands around two of them is shown once."""
    found: list[Excerpt[Quote]] = []
    for quote in sorted(source.quotes, key=lambda quote: (quote.page, quote.char_start)):
        before, words, after = around(quote.paragraph, quote.quote)
        between = _between(found[-1].quotes[-1], quote) if found else None
        if between is None:
            found.append(Excerpt([quote], [(before, False), (words, True), (after, False)]))
        else:
            found[-1].quotes.append(quote)
            found[-1].parts[-1:] = [(between, False), (words, True), (after, False)]
    return found


def _between(first: Marked, second: Marked) -> str | None:
    """The words between two quotations of a page when they are so near that their surroundings meet."""
    distance = second.char_start - first.char_end
    at = first.paragraph.find(first.quote)
    alike = second.page == first.page and second.verified == first.verified  # that is said once below them
    if not alike or at < 0 or not first.quote or not 0 <= distance <= 2 * _room(first.quote):
        return None
    rest = first.paragraph[at + len(first.quote) :]
    return rest[:distance] if rest.startswith(second.quote, distance) else None


def around(text: str, quote: str, room: int | None = None) -> tuple[str, str, str]:
    """(before, quote, after): the quote with at most about `room` characters of its paragraph on each side.

    ("", quote, "") when it does not stand there verbatim.
    """
    at = text.find(quote)
    if at < 0 or not quote:
        return "", quote or text, ""
    room = _room(quote) if room is None else room
    before, after = text[:at], text[at + len(quote) :]
    if len(before) > room:
        before = "… " + _from_word(before[-room:])
    if len(after) > room:
        after = _from_word(after[:room][::-1])[::-1] + " …"
    return before.lstrip(), quote, after.rstrip()


def _room(quote: str) -> int:
    """Characters around a quotation: half as many in Chinese, which says twice as much in them."""
    return ROOM // 2 if any("\u3400" <= character <= "\u9fff" for character in quote) else ROOM


def _from_word(text: str) -> str:
    """The text from its next word on; as it is when it has no spaces (Chinese)."""
    head, _, tail = text.partition(" ")
    return tail if tail and len(head) < 40 else text
