"""Questions asked of a whole set of passages, as people ask: what search finds is read, and what comes of it is kept.

For every question of a sample the ten best passages of its set (words and vectors, reciprocal ranks) are read by the
packaged reader. *search*: with the passages that answer among all others; a question whose answer search does not find
is left out. *near*: without them. *adversarial*: questions that nothing in the set answers. Kept are the numbers of the
sentences whose cosines are taken (``inference.reading.calibration.WEIGHED``), and which of them answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.engines.base import Passage
from inference.reading import words
from inference.reading.calibration import WEIGHED
from inference.reading.features import Query, answer_features, candidates, sentence_features
from inference.reading.linear import LinearModel
from inference.reading.network import FAR
from inference.reading.reader import Reader
from inference.training import qa
from inference.training.retrieval import Bm25

PASSAGES, FOUND, DEPTH, RANK = 400, 10, 60, 20
NEAR_SHARE = 0.5
CJK_TRUST = 0.3  # an English model's order of Chinese passages
Array = npt.NDArray[Any]
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a set, the contexts that answer it, and the strings that do."""

    id: str
    question: str
    answers: tuple[str, ...]
    answerable: bool
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reads:
    """Readings by row. ``logits``, ``cosines``, ``gold``: ``(n, WEIGHED)``, best logit first, padded by
    ``FAR``; ``answer``, ``margin``, ``overlap`` (share of the question that stands in an answering sentence), ``cjk``:
    ``(n,)``.
    """

    set: Array
    mode: Array
    logits: Array
    cosines: Array
    gold: Array
    answer: Array
    margin: Array
    overlap: Array
    cjk: Array

    def rows(self, chosen: Array) -> Reads:
        """Some of them."""
        return Reads(*(getattr(self, name)[chosen] for name in self.__slots__))


def join(parts: Sequence[Reads]) -> Reads:
    """All rows of several."""
    return Reads(*(np.concatenate([getattr(part, name) for part in parts]) for name in Reads.__slots__))


def pool(folder: Path, name: str, count: int, splitter: qa.Splitter) -> tuple[list[Asked], list[Passage]]:
    """At most ``count`` answerable and ``count`` unanswerable questions of a set, with about ``PASSAGES`` passages."""
    contexts = {row["ctx_id"]: row for row in qa.rows(folder / f"{name}.contexts.jsonl")}
    cut: dict[str, tuple[Passage, ...]] = {}
    chance = random.Random(f"pool:{name}")  # noqa: S311 - a reproducible sample, no secret

    def add(key: str) -> None:
        if key not in cut:
            row = contexts[key]
            made = qa.passages_of(key, row.get("title", ""), row["text"], splitter)
            cut[key] = tuple(replace(item, id=f"{key}\n{item.id}") for item in made)

    questions = list(qa.rows(folder / f"{name}.questions.jsonl"))
    chance.shuffle(questions)
    chosen: dict[bool, list[Asked]] = {True: [], False: []}
    for row in questions:
        own = frozenset(row.get("ctx_ids") or [row["ctx_id"]])
        kind = chosen[bool(row["answerable"])]
        full = sum(map(len, cut.values())) >= PASSAGES
        if len(kind) >= count or not own <= contexts.keys() or (full and not own <= cut.keys()):
            continue
        for key in sorted(own):
            add(key)
        kind.append(
            Asked(str(row["id"]), row["question"], tuple(map(str, row["answers"])), bool(row["answerable"]), own)
        )
    for key in sorted(contexts, key=lambda _: chance.random()):
        if sum(map(len, cut.values())) < PASSAGES:
            add(key)
    return chosen[True] + chosen[False], [passage for made in cut.values() for passage in made]


class Asker:
    """Asks the questions of one set of all its passages."""

    def __init__(self, passages: Sequence[Passage], embed: Embed) -> None:
        self._passages, self._embed = passages, embed
        self._linear = LinearModel.packaged()
        self._words = Bm25(passages)
        texts = [f"{item.title}\n{item.text}" if item.title else item.text for item in passages]
        self._vectors = np.concatenate([embed(texts[first : first + 16]) for first in range(0, len(texts), 16)])

    def search(self, question: str) -> list[Passage]:
        """Passages by the reciprocal ranks of words and vectors, best first."""
        cosines = self._vectors @ self._embed([question])[0]
        trust = CJK_TRUST if Query.of(question).cjk else 1.0
        scores: dict[int, float] = {}
        by_meaning = [int(number) for number in np.argsort(-cosines, kind="stable")[:DEPTH]]
        for order, share in ((self._words.top(question, DEPTH), 1.0), (by_meaning, trust)):
            for place, number in enumerate(order):
                scores[number] = scores.get(number, 0.0) + share / (RANK + place)
        order = sorted(scores, key=lambda number: (-scores[number], number))
        return [self._passages[number] for number in order]

    def read(self, reader: Reader, asked: Asked, passages: Sequence[Passage], name: str, mode: str) -> Reads | None:
        """What the reader says; ``None`` when there is nothing to read or, in *search*, no answer in it."""
        sentences, query = candidates(passages), Query.of(asked.question)
        if not sentences:
            return None
        good = np.asarray([
            mode == "search"
            and owner(passages[item.passage]) in asked.own
            and qa.holds(item.text, asked.answers)
            for item in sentences
        ])  # fmt: skip
        if mode == "search" and not good.any():
            return None
        features = sentence_features(query, passages, sentences, np.zeros(len(sentences)))
        prior = self._linear.prior(query, features)
        facts = answer_features(query, passages, sentences, features, prior)
        reading = reader.read(query, passages, sentences, features, prior, facts)
        first = reader.first(reading)
        vectors = self._embed([asked.question, *(sentences[at].text for at in first)])
        shared = (query.soft_coverage(frozenset(words.terms(sentences[at].text))) for at in np.flatnonzero(good))
        overlap = max(shared, default=1.0)
        return Reads(
            np.asarray([name]),
            np.asarray([mode]),
            _row(reading.sentences[first], FAR),
            _row(vectors[1:] @ vectors[0], 0.0),
            _row(good[first], False),
            np.asarray([reading.answer]),
            np.asarray([reading.margin]),
            np.asarray([overlap]),
            np.asarray([query.cjk]),
        )


def owner(passage: Passage) -> str:
    """The context a passage of ``pool`` was cut from."""
    return passage.id.partition("\n")[0]


def _row(values: Array, fill: float) -> Array:
    row = np.full((1, WEIGHED), fill, dtype=values.dtype)
    row[0, : len(values)] = values
    return row


def collect(folder: Path, name: str, count: int, reader: Reader, embed: Embed, splitter: qa.Splitter) -> Reads:
    """All readings of one set."""
    questions, passages = pool(folder, name, count, splitter)
    asker = Asker(passages, embed)
    found: list[Reads | None] = []
    for asked in questions:
        ranked = asker.search(asked.question)
        found.append(asker.read(reader, asked, ranked[:FOUND], name, "search" if asked.answerable else "adversarial"))
        if asked.answerable and random.Random(asked.id).random() < NEAR_SHARE:  # noqa: S311
            others = [
                item for item in ranked if owner(item) not in asked.own and not qa.holds(item.text, asked.answers)
            ]
            found.append(asker.read(reader, asked, others[:FOUND], name, "near"))
    return join([item for item in found if item is not None])
