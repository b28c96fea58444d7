"""Numbers that say how well each sentence answers a question: words, kinds of answers, position.

Pure Python and numpy; knows no model. Meaning (cosine) is handed in by the caller as one number per
sentence. The table of word weights (inverse document frequency) is data of this package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from inference.engines.base import Passage
from inference.reading import words

Floats = npt.NDArray[np.float64]

SENTENCE_FEATURES = (
    "coverage", "soft_coverage", "pair_coverage", "run", "previous_adds", "next_adds", "passage_coverage",
    "title_coverage", "kind", "kind_asked", "novel_number", "novel_name", "log_length", "fragment", "heading",
    "is_question", "first", "depth", "pronoun", "pronoun_previous", "passage_score", "passage_rank", "cosine",
    "cosine_best", "coverage_best", "covers_rarest", "key_value", "list_item",
)  # fmt: skip
ANSWER_FEATURES = (
    "bias", "best", "margin", "certainty", "coverage", "soft_coverage", "passage_coverage",
    "rarest_missing", "number_missing", "name_missing", "kind", "pair_coverage", "cosine", "passage_score",
    "question_length", "cjk",
)  # fmt: skip
# "passage_score" is held at 0: search scores have no common scale, the order of the passages says it. The place is
# kept because trained weights count on it.
_PRONOUNS = frozenset(
    ("he", "she", "it", "they", "this", "these", "that", "those", "its", "his", "her", "their", "such")
) | frozenset("他她它这這其该該此")
DEFAULT_IDF = 8.0


@lru_cache(maxsize=1)
def idf_table() -> dict[str, float]:
    """Packaged weights of common stems; a stem not in it is rarer than all in it."""
    table: dict[str, float] = json.loads(files(__package__).joinpath("idf.json").read_text("utf-8"))
    return table


def weight(term: str) -> float:
    """How much a matched term says: its inverse document frequency, numbers at least 5."""
    value = idf_table().get(term, DEFAULT_IDF)
    return max(value, 5.0) if term[0].isdigit() else value


@dataclass(frozen=True, slots=True)
class Query:
    """A question cut into what is compared with sentences."""

    text: str
    kind: str
    cjk: bool
    tokens: tuple[str, ...]
    terms: tuple[tuple[str, float], ...]
    pairs: frozenset[tuple[str, str]]
    numbers: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, question: str) -> Query:
        surface = words.words(question)
        stems = [words.stem(token) for token in surface]
        content = [
            (stem, token) for stem, token in zip(stems, surface, strict=True) if token.lower() not in words.STOP
        ] or list(zip(stems, surface, strict=True))
        weights = {stem: weight(stem) for stem, _ in content}
        keep = [
            (stem, words.is_cjk(token) or token.lower() not in words.STOP)
            for stem, token in zip(stems, surface, strict=True)
        ]
        pairs = frozenset((a, b) for (a, use_a), (b, use_b) in pairwise(keep) if use_a and use_b)
        return cls(
            text=question,
            kind=words.asks_for(question),
            cjk=words.has_cjk(question),
            tokens=tuple(stems),
            terms=tuple(weights.items()),
            pairs=pairs,
            numbers=frozenset(stem for stem in stems if stem[0].isdigit()),
            names=frozenset(
                stem
                for index, (stem, token) in enumerate(zip(stems, surface, strict=True))
                if index and token[0].isupper() and token.lower() not in words.STOP
            ),
        )

    def coverage(self, present: frozenset[str] | set[str]) -> float:
        """Share of the question's weight found in ``present``."""
        total = sum(value for _, value in self.terms)
        return sum(value for term, value in self.terms if term in present) / total if total else 0.0

    def soft_coverage(self, present: frozenset[str] | set[str]) -> float:
        """As ``coverage``, but a term counts in part when a word shares a long beginning with it."""
        total = found = 0.0
        listed = f" {' '.join(present)}"  # words hold no spaces, so a space before it is the beginning of one
        for term, value in self.terms:
            total += value
            if term in present:
                found += value
            elif len(term) > 3 and not term[0].isdigit() and f" {term[: max(4, len(term) - 2)]}" in listed:
                found += 0.7 * value
        return found / total if total else 0.0

    def missing(self, present: frozenset[str] | set[str]) -> float:
        """Weight of the rarest question term that is not in ``present``, 0 to 1."""
        return max((value for term, value in self.terms if term not in present), default=0.0) / DEFAULT_IDF


@dataclass(frozen=True, slots=True)
class Sentence:
    """One candidate quotation: ``passages[passage].text[start:end]``."""

    passage: int
    index: int
    start: int
    end: int
    text: str


def candidates(passages: Sequence[Passage]) -> list[Sentence]:
    """All sentences that hold a word, in order of passages and position."""
    found = []
    for number, passage in enumerate(passages):
        for index, (start, end) in enumerate(passage.sentences or ((0, len(passage.text)),)):
            text = passage.text[start:end]
            if any(character.isalnum() for character in text):
                found.append(Sentence(number, index, start, end, text))
    return found


def _run(query: Sequence[str], sentence: Sequence[str]) -> int:
    """Length of the longest run of tokens the two have in common."""
    best = 0
    places: dict[str, list[int]] = {}
    for index, wanted in enumerate(query):
        places.setdefault(wanted, []).append(index)
    previous: dict[int, int] = {}  # the place in the question a run has come to, and its length
    for token in sentence:
        previous = {index: previous.get(index - 1, 0) + 1 for index in places.get(token, ())}
        if previous:
            best = max(best, *previous.values())
    return best


def _novel(text: str, asked: frozenset[str]) -> str:
    """The sentence with the question's own words blanked out: an answer is something new."""
    return words.TOKEN.sub(lambda match: "" if words.stem(match[0]) in asked else match[0], text)


def sentence_features(
    query: Query, passages: Sequence[Passage], sentences: Sequence[Sentence], cosine: Floats
) -> Floats:
    """Features of every sentence, shape ``(len(sentences), len(SENTENCE_FEATURES))``."""
    tokens = [words.terms(sentence.text) for sentence in sentences]
    sets = [frozenset(items) for items in tokens]
    whole: dict[int, set[str]] = {}
    for sentence, present in zip(sentences, sets, strict=True):
        whole.setdefault(sentence.passage, set()).update(present)
    titles = {
        number: frozenset(words.terms(" ".join((passages[number].title, *passages[number].headings))))
        for number in whole
    }
    passage_cover = {number: query.coverage(present | titles[number]) for number, present in whole.items()}
    title_cover = {number: query.coverage(present) for number, present in titles.items()}
    asked = frozenset(term for term, _ in query.terms)
    cover = [query.coverage(present) for present in sets]
    rarest = max(query.terms, key=lambda item: item[1])[0] if query.terms else ""
    best_cover = max(cover, default=0.0)
    best_cosine = float(cosine.max()) if len(cosine) else 0.0
    rows = []
    for index, sentence in enumerate(sentences):
        text, present = sentence.text, sets[index]
        novel = text if asked.isdisjoint(present) else _novel(text, asked)
        size = len(tokens[index])
        before = index > 0 and sentences[index - 1].passage == sentence.passage
        after = index + 1 < len(sentences) and sentences[index + 1].passage == sentence.passage
        previous_adds = query.coverage(sets[index - 1] | present) - cover[index] if before else 0.0
        next_adds = query.coverage(sets[index + 1] | present) - cover[index] if after else 0.0
        pairs = set(pairwise(tokens[index]))
        pronoun = bool(tokens[index]) and not _PRONOUNS.isdisjoint(
            {word.lower() for word in words.words(text[:40])[:2]}
        )
        fragment = size < (4 if not query.cjk else 6)
        stripped = text.rstrip()
        rows.append(
            (
                cover[index],
                query.soft_coverage(present),
                len(query.pairs & pairs) / len(query.pairs) if query.pairs else 0.0,
                _run(query.tokens, tokens[index]) / max(4, len(query.tokens)),
                previous_adds,
                next_adds,
                passage_cover[sentence.passage],
                title_cover[sentence.passage],
                float(words.mentions(query.kind, novel)),
                float(query.kind in {"thing", "yes_no"}),
                float(words.mentions("number", novel)),
                float(words.mentions("name", novel)),
                math.log1p(size) / 4.0,
                float(fragment),
                float(size < 12 and stripped[-1] not in ".!?。！？;；:："),
                float(stripped[-1] in "?？"),
                float(sentence.index == 0),
                min(sentence.index, 10) / 10.0,
                float(pronoun),
                previous_adds if pronoun else 0.0,
                0.0,
                min(sentence.passage, 8) / 8.0,
                float(cosine[index]),
                float(cosine[index]) - best_cosine,
                cover[index] - best_cover,
                float(rarest in present),
                float(": " in text and size < 60),
                float(text.lstrip()[0] in "-*•·–" or text.lstrip()[:2].rstrip(".)").isdigit()),
            )
        )
    return np.asarray(rows, dtype=np.float64).reshape(len(sentences), len(SENTENCE_FEATURES))


def answer_features(
    query: Query,
    passages: Sequence[Passage],
    sentences: Sequence[Sentence],
    features: Floats,
    logits: Floats,
) -> Floats:
    """What the best sentence leaves unexplained, shape ``(len(ANSWER_FEATURES),)``."""
    order = np.argsort(-logits, kind="stable")
    best = int(order[0])
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    sentence = sentences[best]
    passage = passages[sentence.passage]
    present = frozenset(words.terms(" ".join((passage.text, passage.title, *passage.headings))))
    column = dict(zip(SENTENCE_FEATURES, features[best], strict=True))
    return np.asarray(
        (
            1.0,
            float(logits[best]),
            float(logits[best] - logits[order[1]]) if len(order) > 1 else 3.0,
            float(chances[best]),
            column["coverage"],
            column["soft_coverage"],
            column["passage_coverage"],
            query.missing(present),
            float(bool(query.numbers - present)),
            float(bool(query.names - present)),
            column["kind"],
            column["pair_coverage"],
            column["cosine"],
            0.0,
            min(len(query.terms), 12) / 12.0,
            float(query.cjk),
        )
    )
