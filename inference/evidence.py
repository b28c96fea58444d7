"""Which sentences of the passages answer the question, and whether any does.

Used for every engine before anything is generated: the evidence is what an answer may rest on, and a low
``answerable`` means that the honest answer is "the documents do not say". Words choose which sentences are read, a
trained reader over the packaged encoder (``inference.reading``) reads question and sentences together, the cosine of
the few it puts first adds what paraphrases share, and a calibration turns all of it into one probability. Then, for the
choice of quotations alone, what speaks for a heading counts for the sentence below it (``inference.reading.leading``).
Knows no index and no product.

What ``ANSWERABLE_THRESHOLD`` costs and saves is measured in ``inference/reading/WEIGHING.md`` (what a threshold does).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.engines.base import Assessment, Evidence, Passage
from inference.reading import words
from inference.reading.features import Floats, Query, Sentence, answer_features, candidates, sentence_features
from inference.reading.leading import handed_down
from inference.reading.linear import LinearModel
from inference.reading.reader import DEFAULT_BUDGET, Reader

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]

ANSWERABLE_THRESHOLD = 0.2
# A part number, a form, a paragraph: letters and digits in one word. When it stands in no passage, whatever is said
# there is said of something else; public question sets hold too few of these for the reader to learn it.
_CODE = re.compile(
    r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])(?!\d+(?:st|nd|rd|th|s|am|pm|km|kg|m|h|x|k)\b)[\w-]{2,}", re.ASCII
)
MISSING_CODE_FACTOR = 0.4


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """How many sentences are quoted: a second and third only when they may hold what the first does not.

    ``limit`` sentences at most; one more is taken while its chance is at least ``least`` and at least ``share`` of
    the best one's; ``budget`` word pieces are read; without a reader, ``embed_limit`` sentences at most (by words)
    are embedded.
    """

    limit: int = 3
    least: float = 0.06
    share: float = 0.1
    budget: int = DEFAULT_BUDGET
    embed_limit: int = 24

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 10:
            raise ValueError(f"limit must lie in 1..10, not {self.limit}")
        if not (0.0 <= self.least <= 1.0 and 0.0 <= self.share <= 1.0):
            raise ValueError("least and share are probabilities")
        if not 64 <= self.budget <= 500:
            raise ValueError(f"budget must lie in 64..500 word pieces, not {self.budget}")
        if self.embed_limit < 1:
            raise ValueError(f"embed_limit must be at least 1, not {self.embed_limit}")


class EvidenceScorer:
    """Chooses evidence. May be called from several threads.

    ``embed`` gives L2-normalised rows ``(n, d)`` of all-MiniLM-L6-v2. With ``encoder`` (the folder of that model) the
    trained reader is used, and ``embed`` sees the question and four sentences. Without it, sentences are scored by
    words and cosine alone, which is clearly worse: for where the encoder is not the one the reader was trained over.
    """

    def __init__(
        self,
        embed: Embed,
        *,
        encoder: Path | None = None,
        reader: Reader | None = None,
        options: SelectionOptions | None = None,
    ) -> None:
        self._embed = embed
        self._options = options or SelectionOptions()
        self._linear = LinearModel.packaged()
        self._reader = reader
        if reader is None and encoder is not None:
            self._reader = Reader.load(encoder, budget=self._options.budget)

    def assess(self, question: str, passages: Sequence[Passage]) -> Assessment:
        """Evidence sorted best first and the calibrated probability that it answers; empty in, empty out.

        Passages come best first, as the search gave them; their order counts, their scores do not.
        """
        sentences = candidates(passages)
        if not sentences or not question.strip():
            return Assessment(0.0)
        query = Query.of(question)
        if self._reader is None:
            features = sentence_features(query, passages, sentences, self._cosines(query, sentences))
            logits = self._linear.scores(query, features)
            answerable = self._linear.answerable(query, passages, sentences, features, logits)
        else:
            features = sentence_features(query, passages, sentences, np.zeros(len(sentences)))
            prior = self._linear.prior(query, features)
            facts = answer_features(query, passages, sentences, features, prior)
            reading = self._reader.read(query, passages, sentences, features, prior, facts)
            first = self._reader.first(reading)
            cosines = self._cosine(question, [sentences[index].text for index in first])
            logits, answerable = self._reader.conclude(query, reading, dict(zip(first, cosines, strict=True)))
        if names_unknown_code(question, passages):
            answerable *= MISSING_CODE_FACTOR
        logits = handed_down(passages, sentences, logits)  # what is quoted, never whether there is an answer
        chances = np.exp(logits - logits.max())
        return Assessment(answerable, self._select(sentences, chances / chances.sum()))

    def _cosines(self, query: Query, sentences: Sequence[Sentence]) -> Floats:
        """Cosine to the question of the sentences that share most words with it; the others get the least seen."""
        covers = np.asarray([query.soft_coverage(frozenset(words.terms(item.text))) for item in sentences])
        chosen = np.argsort(-covers, kind="stable")[: self._options.embed_limit]
        found = self._cosine(query.text, [sentences[int(index)].text for index in chosen])
        cosines = np.full(len(sentences), min(found))
        cosines[chosen] = found
        return cosines

    def _cosine(self, question: str, texts: Sequence[str]) -> list[float]:
        vectors = self._embed([question, *texts]).astype(np.float64)
        return [float(value) for value in vectors[1:] @ vectors[0]]

    def _select(self, sentences: Sequence[Sentence], chances: Floats) -> tuple[Evidence, ...]:
        order = np.argsort(-chances, kind="stable")
        best = float(chances[order[0]])
        taken: list[Evidence] = []
        seen: set[str] = set()
        for index in order:
            chance, sentence = float(chances[index]), sentences[int(index)]
            plain = " ".join(sentence.text.split()).casefold()
            if plain in seen:
                continue
            if taken and (chance < self._options.least or chance < self._options.share * best):
                break
            seen.add(plain)
            taken.append(Evidence(sentence.passage, sentence.start, sentence.end, chance))
            if len(taken) == self._options.limit:
                break
        return tuple(taken)


def names_unknown_code(question: str, passages: Sequence[Passage]) -> bool:
    """Whether the question names a code (``B7``, ``ISO-9001``) that no passage, title or heading holds."""
    codes = {match.casefold() for match in _CODE.findall(question)}
    if not codes:
        return False
    held = " ".join(part for item in passages for part in (item.text, item.title, *item.headings)).casefold()
    plain = held.replace("-", "").replace(" ", "")
    return any(code not in held and code.replace("-", "") not in plain for code in codes)
