"""Which sentences of the passages answer the question, and whether any does.

Used for every engine before anything is generated: the evidence is what an answer may rest on, and a low
``answerable`` means that the honest answer is "the documents do not say". Knows no index and no product; the
embedding of texts is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.engines.base import Assessment, Evidence, Passage
from inference.reading.features import Floats, Query, Sentence, candidates, sentence_features
from inference.reading.linear import LinearModel

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]

ANSWERABLE_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """How many sentences are quoted: a second and third only when they may hold what the first does not.

    ``limit`` sentences at most; one more is taken while its chance is at least ``least`` and at least
    ``share`` of the best one's; ``embed_limit`` sentences at most (by words) are embedded.
    """

    limit: int = 3
    least: float = 0.05
    share: float = 0.12
    embed_limit: int = 24

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 10:
            raise ValueError(f"limit must lie in 1..10, not {self.limit}")
        if not (0.0 <= self.least <= 1.0 and 0.0 <= self.share <= 1.0):
            raise ValueError("least and share are probabilities")
        if self.embed_limit < 1:
            raise ValueError(f"embed_limit must be at least 1, not {self.embed_limit}")


class EvidenceScorer:
    """Chooses evidence. Thread-safe as far as ``embed`` is; ``embed`` gives L2-normalised rows ``(n, d)``."""

    def __init__(
        self, embed: Embed, *, model: LinearModel | None = None, options: SelectionOptions | None = None
    ) -> None:
        self._embed = embed
        self._model = model or LinearModel.packaged()
        self._options = options or SelectionOptions()

    def assess(self, question: str, passages: Sequence[Passage]) -> Assessment:
        """Evidence sorted best first and the calibrated probability that it answers; empty in, empty out."""
        sentences = candidates(passages)
        if not sentences or not question.strip():
            return Assessment(0.0)
        query = Query.of(question)
        features = sentence_features(query, passages, sentences, self._cosines(query, sentences))
        logits = self._model.scores(query, features)
        answerable = self._model.answerable(query, passages, sentences, features, logits)
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        return Assessment(answerable, self._select(sentences, chances))

    def _cosines(self, query: Query, sentences: Sequence[Sentence]) -> Floats:
        """Cosine to the question of the sentences that share most words with it; the others get the least
        seen.
        """
        from inference.reading import words

        covers = np.asarray([query.soft_coverage(frozenset(words.terms(item.text))) for item in sentences])
        chosen = np.argsort(-covers, kind="stable")[: self._options.embed_limit]
        vectors = self._embed([query.text, *(sentences[int(index)].text for index in chosen)])
        found = vectors[1:].astype(np.float64) @ vectors[0].astype(np.float64)
        cosines = np.full(len(sentences), float(found.min()))
        cosines[chosen] = found
        return cosines

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
