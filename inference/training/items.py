"""Training items: one packed window each, with its labels.

From every question several items are made: its own passage, its passage among retrieved ones ("open"), retrieved
ones without it and its passage without the answering sentences (near misses), and a changed question.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inference.engines.base import Passage
from inference.reading.features import Query, answer_features, candidates, sentence_features
from inference.reading.linear import LinearModel
from inference.reading.window import Window, pack
from inference.reading.words import words
from inference.training import augment
from inference.training.qa import Example, holds
from inference.training.retrieval import Bm25

FIELDS = ("ids", "types", "match", "shape", "chars", "owner")


@dataclass(slots=True)
class Item:
    """One window with labels. ``gold`` marks the window's sentences, ``spans`` are (first, last) word pieces.

    ``reachable`` tells whether any sentence of the passages answers, in the window or not; ``choices`` are the
    (passage, sentence) pairs of the window's sentences.
    """

    set: str
    group: str
    id: str
    mode: str
    pieces: npt.NDArray[np.int16]
    kind: str
    features: npt.NDArray[np.float32]
    answer: npt.NDArray[np.float32]
    gold: npt.NDArray[np.bool_]
    spans: tuple[tuple[int, int], ...]
    answerable: bool
    reachable: bool

    def window(self) -> Window:
        """The window again, without offsets."""
        rows = {name: self.pieces[index].astype(int).tolist() for index, name in enumerate(FIELDS)}
        return Window(**rows, sentences=list(range(len(self.gold))))


def _spans(window: Window, texts: Sequence[str], gold: Sequence[bool], answers: Sequence[str]) -> list[tuple[int, int]]:
    found = []
    patterns = []
    for answer in answers:
        tokens = words(answer)
        if 0 < len(tokens) <= 40:
            patterns.append(re.compile(r"[\W_]*".join(re.escape(token) for token in tokens), re.IGNORECASE))
    for slot, is_gold in enumerate(gold):
        if not is_gold:
            continue
        places = [index for index, owner in enumerate(window.owner) if owner == slot]
        for pattern in patterns:
            for match in pattern.finditer(texts[slot]):
                inside = [
                    index for index in places if window.start[index] < match.end() and window.end[index] > match.start()
                ]
                if inside:
                    found.append((inside[0], inside[-1]))
    return sorted(set(found))[:8]


class Maker:
    """Makes items of one question set; holds its passages, their BM25 index and a pool of words."""

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        linear: LinearModel,
        budget: int,
        more: Sequence[Passage] = (),
    ) -> None:
        self.examples = examples
        self._tokenizer = tokenizer
        self._linear = linear
        self._budget = budget
        contexts = {example.context: example for example in examples}
        self._passages = [passage for example in contexts.values() for passage in example.passages]
        self._passages += more
        self._groups = [example.group for example in contexts.values() for _ in example.passages]
        self._groups += [f"plain:{passage.id}" for passage in more]
        self._sets = [example.set for example in contexts.values() for _ in example.passages]
        self._sets += ["plain"] * len(more)
        self._index = Bm25(self._passages)
        names = {name for passage in self._passages for name in augment.names_in(passage.text)}
        nouns = {
            token for example in examples for token in words(example.question) if len(token) > 4 and token.islower()
        }
        nouns.update(
            token for passage in more for token in words(passage.text)[::7] if len(token) > 4 and token.islower()
        )
        self.pool = sorted(names)[:4000] + sorted(nouns)[:3000]
        self._within = len(set(self._groups)) <= 20 and bool(examples) and examples[0].set.startswith("policy")

    def item(
        self,
        example: Example,
        question: str,
        passages: Sequence[Passage],
        gold: Iterable[tuple[int, int]],
        mode: str,
    ) -> Item | None:
        """One item; ``gold`` are (passage, sentence) pairs in ``passages``, empty when they do not answer."""
        sentences = candidates(passages)
        if not sentences:
            return None
        query = Query.of(question)
        features = sentence_features(query, passages, sentences, np.zeros(len(sentences)))
        logits = self._linear.prior(query, features)
        window = pack(query, passages, sentences, logits, self._tokenizer, self._budget)
        answers = answer_features(query, passages, sentences, features, logits)
        wanted = set(gold)
        marks = [(sentences[index].passage, sentences[index].index) in wanted for index in window.sentences]
        texts = [sentences[index].text for index in window.sentences]
        spans = _spans(window, texts, marks, example.answers) if any(marks) else []
        rows = np.stack([np.asarray(getattr(window, name), dtype=np.int16) for name in FIELDS])
        return Item(
            example.set,
            example.group,
            example.id,
            mode,
            rows,
            query.kind,
            features[window.sentences].astype(np.float32),
            answers.astype(np.float32),
            np.asarray(marks, dtype=bool),
            tuple(spans),
            any(marks),
            bool(wanted),
        )

    def near(self, example: Example, limit: int) -> list[Passage]:
        """Retrieved passages that do not hold the answer, best first."""
        own = {passage.id for passage in example.passages}
        found = []
        for number in self._index.top(example.question, limit * 6 if self._within else limit + 4):
            passage = self._passages[number]
            if self._within and self._groups[number] != example.group:
                continue
            if passage.id in own or (example.answers and holds(passage.text, example.answers)):
                continue
            found.append(passage)
            if len(found) == limit:
                break
        return found

    def gold_passage(
        self, example: Example, chance: random.Random | None = None
    ) -> tuple[list[Passage], set[tuple[int, int]]]:
        """The passage that answers (any of them), or the context's best by words when none does."""
        numbers = sorted({number for number, _ in example.gold})
        if numbers:
            number = chance.choice(numbers) if chance else numbers[0]
        elif len(example.passages) > 1:
            number = (Bm25(example.passages).top(example.question, 1) or [0])[0]
        else:
            number = 0
        return [example.passages[number]], {(0, index) for owner, index in example.gold if owner == number}

    def open_book(self, example: Example, limit: int) -> tuple[list[Passage], set[tuple[int, int]]]:
        """The best ``limit`` passages of the whole set by BM25, as a search would give them."""
        own = {passage.id: number for number, passage in enumerate(example.passages)}
        numbers = self._index.top(example.question, limit * (20 if self._within else 1))
        if self._within:
            numbers = [number for number in numbers if self._groups[number] == example.group][:limit]
        passages = [self._passages[number] for number in numbers]
        gold = {
            (place, index)
            for place, passage in enumerate(passages)
            if passage.id in own
            for owner, index in example.gold
            if owner == own[passage.id]
        }
        return passages, gold

    def training(self, example: Example, seed: int) -> list[Item]:
        """All training items of one question."""
        chance = random.Random(f"{seed}:{example.id}")  # noqa: S311 - reproducible sampling, no secret
        made: list[Item | None] = []
        question = example.question
        passages, gold = self.gold_passage(example, chance)
        near = self.near(example, 6)
        made.append(self.item(example, question, passages, gold, "own"))
        among = [*passages, *near[: chance.randint(1, 6)]]
        places = list(range(len(among)))
        if chance.random() < 0.6:
            chance.shuffle(places)
        among = [among[place] for place in places]
        moved = {(places.index(0), index) for _, index in gold}
        made.append(self.item(example, question, among, moved, "open"))
        if example.answerable and gold:
            if near and not self._within and chance.random() < 0.6:
                made.append(self.item(example, question, near[: chance.randint(1, 6)], (), "near"))
            left = [span for index, span in enumerate(passages[0].sentences) if (0, index) not in gold]
            if len(left) > 1 and not self._within and chance.random() < 0.35:
                text = passages[0]
                cut = Passage(text.id, text.text, text.title, text.headings, 0.0, tuple(left))
                made.append(self.item(example, question, [cut], (), "cut"))
            if not self._within and chance.random() < 0.7:
                changed = augment.unanswerable(question, passages[0], example.answers, self.pool, chance)
                if changed:
                    made.append(self.item(example, changed, passages, (), "changed"))
        return [item for item in made if item is not None]

    def measuring(self, example: Example) -> list[Item]:
        """The items a question is measured on: its own passage, retrieved ones, and near misses alone."""
        passages, gold = self.gold_passage(example)
        found = [self.item(example, example.question, passages, gold, "own")]
        passages, gold = self.open_book(example, 8)
        if passages:
            found.append(self.item(example, example.question, passages, gold, "open"))
        near = [] if self._within or not example.answerable else self.near(example, 6)
        if near and random.Random(example.id).random() < 0.34:  # noqa: S311 - a fixed third, no secret
            found.append(self.item(example, example.question, near, (), "near"))
        return [item for item in found if item is not None]

    def clozes(self, count: int, seed: int, near: augment.Neighbours) -> list[Item]:
        """Synthetic items from the set's passages: about two thirds answerable, the others changed or misplaced."""
        chance = random.Random(seed)  # noqa: S311 - reproducible sampling, no secret
        found: list[Item] = []
        for _ in range(count * 4):
            if len(found) >= count:
                break
            number = chance.randrange(len(self._passages))
            passage = self._passages[number]
            made = augment.cloze(passage, near, chance) if len(passage.sentences) > 1 else None
            if made is None:
                continue
            question, answer, index = made
            example = Example(
                f"cloze-{number}", self._sets[number], self._groups[number], question, (answer,), True, passage.id,
                (passage,), frozenset({(0, index)}),
            )  # fmt: skip
            found += [item for item in self._cloze_items(example, passage, chance) if item is not None]
        return found[:count]

    def _cloze_items(self, example: Example, passage: Passage, chance: random.Random) -> list[Item | None]:
        fate = chance.random()
        if fate < 0.5:
            return [self.item(example, example.question, [passage], example.gold, "cloze")]
        if fate < 0.65:
            others = [passage, *self.near(example, 3)]
            places = list(range(len(others)))
            chance.shuffle(places)
            gold = {(places.index(0), index) for _, index in example.gold}
            return [self.item(example, example.question, [others[place] for place in places], gold, "cloze")]
        if fate < 0.9:
            changed = augment.unanswerable(example.question, passage, example.answers, self.pool, chance)
            return [self.item(example, changed, [passage], (), "cloze_changed")] if changed else []
        left = tuple(span for index, span in enumerate(passage.sentences) if (0, index) not in example.gold)
        cut = Passage(passage.id, passage.text, passage.title, passage.headings, 0.0, left)
        return [self.item(example, example.question, [cut], (), "cloze_changed")]
