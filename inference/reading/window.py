"""What the trained reader sees of a question and its passages: one packed sequence of word pieces.

Sentences are taken in the order of a cheap first score until the token budget is full, then laid out in reading
order: ``[CLS] question [SEP] title sentence sentence … [SEP] title sentence … [SEP]``. Beside its id, each piece
carries what an uncased vocabulary loses or a small model finds hard: does the word stand in the question (and how
rare is it), its shape, and, for Chinese characters the vocabulary does not know, a character id of its own.
Knows the tokenizer, but no tensor library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from tokenizers import Encoding, Tokenizer

from inference.engines.base import Passage
from inference.reading import words
from inference.reading.features import Floats, Query, Sentence, weight

CLS, SEP = 101, 102
QUESTION_LIMIT, SENTENCE_LIMIT, TITLE_LIMIT = 48, 128, 10
MATCHES, SHAPES = 20, 12
AT_ONCE = 24  # sentences that are cut into pieces together
_NONE, _SOFT, _PAIR, _DIGITS = 0, 4, 5, 6
_Q_STOP, _Q_FOUND, _Q_MISSING, _Q_SOFT, _Q_DIGITS, _SPECIAL = 7, 8, 11, 14, 15, 16
_SHAPE_SPECIAL = 10


@dataclass(slots=True)
class Window:
    """One packed sequence; all lists are as long as the sequence, in word pieces.

    ``owner`` is the place of the piece's sentence in ``sentences`` (indices of candidates), -1 for none;
    ``start`` and ``end`` are character offsets inside that sentence.
    """

    ids: list[int] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    match: list[int] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)
    chars: list[int] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)

    def add(self, piece: int, kind: int, match: int, shape: int, char: int, owner: int, span: tuple[int, int]) -> None:
        self.ids.append(piece)
        self.types.append(kind)
        self.match.append(match)
        self.shape.append(shape)
        self.chars.append(char)
        self.owner.append(owner)
        self.start.append(span[0])
        self.end.append(span[1])


@lru_cache(maxsize=1)
def character_table() -> dict[str, int]:
    """Packaged ids, from 1, of the Chinese characters that have a trained vector of their own."""
    text: str = json.loads(files(__package__).joinpath("characters.json").read_text("utf-8"))
    return {character: index + 1 for index, character in enumerate(text)}


def load_tokenizer(text: str) -> Tokenizer:
    """A tokenizer from the text of ``tokenizer.json``, its padding and truncation switched off."""
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _level(term: str) -> int:
    value = weight(term)
    return 0 if value < 3.0 else 1 if value < 5.5 else 2


def _shape(surface: str, first: bool) -> int:
    if surface.isdigit():
        return 5 if len(surface) == 4 and surface[0] in "12" else 4
    if surface[0].isdigit():
        return 6
    if surface[0] in "%$€£¥":
        return 11
    if words.is_cjk(surface):
        return 8
    if surface.isupper() and len(surface) > 1:
        return 3
    if surface[0].isupper():
        return 2 if first else 1
    return 0


@dataclass(frozen=True, slots=True)
class _Asked:
    content: frozenset[str]
    soft: tuple[str, ...]
    pairs: frozenset[tuple[str, str]]


def _word_marks(text: str, asked: _Asked) -> list[tuple[int, int, int, int]]:
    """(start, end, match, shape) of every word of a passage's text."""
    found = [(match.start(), match.end(), match[0], words.stem(match[0])) for match in words.TOKEN.finditer(text)]
    marks = []
    for index, (start, end, surface, stem) in enumerate(found):
        match = _NONE
        if stem in asked.content:
            match = _DIGITS if stem[0].isdigit() else 1 + _level(stem)
            if words.is_cjk(surface):
                before = index > 0 and (found[index - 1][3], stem) in asked.pairs
                after = index + 1 < len(found) and (stem, found[index + 1][3]) in asked.pairs
                match = _PAIR if before or after else match
        elif len(stem) > 3 and stem.startswith(asked.soft):
            match = _SOFT
        marks.append((start, end, match, _shape(surface, index == 0)))
    return marks


def _append(
    window: Window,
    encoding: Encoding,
    text: str,
    marks: list[tuple[int, int, int, int]],
    kind: int,
    owner: int,
    limit: int,
) -> None:
    table = character_table()
    place = 0
    for piece, (start, end) in zip(encoding.ids[:limit], encoding.offsets[:limit], strict=True):
        while place < len(marks) and marks[place][1] <= start:
            place += 1
        match, shape = _NONE, 7
        if place < len(marks) and marks[place][0] <= start:
            match, shape = marks[place][2], marks[place][3]
        char = table.get(text[start], 0) if shape == 8 and end - start == 1 else 0
        window.add(piece, kind, match, shape, char, owner, (start, end))


def pack(
    query: Query,
    passages: Sequence[Passage],
    sentences: Sequence[Sentence],
    scores: Floats,
    tokenizer: Tokenizer,
    budget: int,
) -> Window:
    """The best sentences by ``scores`` and, where room is left, their neighbours, within ``budget`` pieces."""
    question = tokenizer.encode(query.text, add_special_tokens=False)
    titles = {
        number: " - ".join([part for part in (passages[number].title, *passages[number].headings[-1:]) if part])
        for number in {sentence.passage for sentence in sentences}
    }
    wanted = [float(score) for score in scores]
    for index, sentence in enumerate(sentences):
        for other in (index - 1, index + 1):
            if 0 <= other < len(sentences) and sentences[other].passage == sentence.passage:
                wanted[index] = max(wanted[index], float(scores[other]) - (1.0 if other > index else 2.0))
    order = sorted(range(len(sentences)), key=lambda index: (-wanted[index], index))
    likely = order[: max(8, budget // 6)]
    encodings: dict[int, Encoding] = {}
    title_encodings = {
        number: tokenizer.encode(text, add_special_tokens=False) for number, text in titles.items() if text
    }
    room = budget - min(len(question.ids), QUESTION_LIMIT) - 2
    taken: set[int] = set()
    opened: set[int] = set()
    for place, index in enumerate(likely):
        if place % AT_ONCE == 0:  # most windows are full after the first of these
            some = likely[place : place + AT_ONCE]
            encoded = tokenizer.encode_batch([sentences[one].text for one in some], add_special_tokens=False)
            encodings.update(zip(some, encoded, strict=True))
        number = sentences[index].passage
        cost = min(len(encodings[index].ids), SENTENCE_LIMIT)
        if number not in opened:
            cost += 1 + min(len(title_encodings[number].ids) if number in title_encodings else 0, TITLE_LIMIT)
        if cost <= room or not taken:
            taken.add(index)
            opened.add(number)
            room -= cost
        if room < 8:
            break

    content = frozenset(term for term, _ in query.terms)
    soft = tuple(term[: max(4, len(term) - 2)] for term in content if len(term) > 3 and not term[0].isdigit())
    asked = _Asked(content, soft, query.pairs)
    marks = {index: _word_marks(sentences[index].text, asked) for index in taken}
    present: set[str] = set()
    for index in taken:
        present.update(words.terms(sentences[index].text))
    for number in opened:
        present.update(words.terms(titles[number]))

    window = Window()
    window.add(CLS, 0, _SPECIAL, _SHAPE_SPECIAL, 0, -1, (0, 0))
    asked_marks = []
    for position, found in enumerate(words.TOKEN.finditer(query.text)):
        stem = words.stem(found[0])
        if stem not in content:
            match = _Q_STOP
        elif stem in present:
            match = _Q_FOUND + _level(stem)
        elif stem[0].isdigit():
            match = _Q_DIGITS
        elif len(stem) > 3 and any(word.startswith(stem[: max(4, len(stem) - 2)]) for word in present):
            match = _Q_SOFT
        else:
            match = _Q_MISSING + _level(stem)
        asked_marks.append((found.start(), found.end(), match, _shape(found[0], position == 0)))
    _append(window, question, query.text, asked_marks, 0, -1, QUESTION_LIMIT)
    window.add(SEP, 0, _SPECIAL + 1, _SHAPE_SPECIAL, 0, -1, (0, 0))
    current = -1
    for index in sorted(taken):
        sentence = sentences[index]
        if sentence.passage != current:
            if current >= 0:
                window.add(SEP, 1, _SPECIAL + 1, _SHAPE_SPECIAL, 0, -1, (0, 0))
            current = sentence.passage
            if current in title_encodings:
                title = titles[current]
                _append(window, title_encodings[current], title, _word_marks(title, asked), 1, -1, TITLE_LIMIT)
        _append(window, encodings[index], sentence.text, marks[index], 1, len(window.sentences), SENTENCE_LIMIT)
        window.sentences.append(index)
    window.add(SEP, 1, _SPECIAL + 1, _SHAPE_SPECIAL, 0, -1, (0, 0))
    return window
