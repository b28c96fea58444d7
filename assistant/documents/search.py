"""Searching for one person, with their rights at this moment. Answers workers only.

Knows: rights become partitions, hits become rows, and rows are loaded through `policy`. Does not know: how the index
works, how the question came here, or what is done with the passages.

A response depends only on what the person may read: unreadable partitions are not searched or counted, and nothing
about the whole index is in it. (`index_seq` counts everybody's changes: it is for the audit record, never for people.)
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from assistant import engines
from assistant.accounts.models import User
from assistant.guardrails import injection
from retrieval import reranking, synonyms
from retrieval.chunking import passage_text
from retrieval.cross_encoding import PairScorer
from retrieval.embedding import Embedder
from retrieval.phrases import Wanted, exact_first, wanted
from retrieval.schema import Hit

from . import personal, policy, replica, rows, sharing
from .models import Chunk
from .replica import DocumentReplica

PER_DOCUMENT = 3
MAX_LIMIT = 100
QUOTED_DEPTH, QUOTED_PER_DOCUMENT = 100, 20  # candidates that are looked through for words in quotation marks
SPARE = 10
RERANK_DEPTH = 20  # candidates that a cross-encoder reads; fixed, so that the time of a question is bounded


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage the person may read: `chunk` with its `.document`, `.document.collection` and `.version`. Its words
    are those of `passage`: the chunk's own hold what the person may not see (`personal`)."""

    chunk: Chunk
    passage: personal.Passage
    score: float
    dense: float
    lexical: float


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What was found and on what ground. `searched_chunks` counts the person's partitions alone."""

    passages: list[FoundPassage]
    partitions: tuple[int, ...]
    searched_chunks: int
    index_seq: int
    model: str
    timings: dict[str, float] = field(default_factory=dict)  # milliseconds
    reranker: str = ""  # the cross-encoder that chose the order, if one did
    refused: int = 0  # passages left out for the personal data in them


class Searcher:
    """Search over one replica with one embedding model; safe to share between threads."""

    def __init__(self, *, embedder: Embedder, replica: DocumentReplica, reranker: PairScorer | None = None) -> None:
        self._embedder = embedder
        self._replica = replica
        self._reranker = reranker

    def embedded(self, text: str) -> NDArray[np.float32]:
        """The question as a vector; no index, right or row is looked at."""
        vector: NDArray[np.float32] = self._embedder.embed([text])[0]
        return vector

    def search(
        self,
        *,
        user: User,
        text: str,
        collections: Sequence[str] = (),
        limit: int = 10,
        per_document: int = PER_DOCUMENT,
        vector: NDArray[np.float32] | None = None,
    ) -> SearchReport:
        """The best passages of the collections named (none named: all) that the person may read and that speak for
        today, best first. A slug that is unknown or foreign contributes nothing. `vector` is `embedded(text)`, when
        that is there already. Raises django.db.DatabaseError."""
        clock = _Clock()
        if vector is None:
            vector = self.embedded(text)
            clock.lap("embed")
        limit = max(1, min(limit, MAX_LIMIT))
        seq = self._replica.catch_up()
        clock.lap("catch_up")
        partitions = policy.readable_partitions(user, collections)
        rules = personal.rules(user)
        clock.lap("rights")
        # the order of one result is chosen among as many candidates as that of twenty
        needed = limit if self._reranker is None else max(limit, RERANK_DEPTH)
        ask = max(needed + SPARE, RERANK_DEPTH)
        words = personal.searchable(text, rules)
        query = _Query(user, words, synonyms.packaged().terms(words), vector, partitions, rules)
        passages, refused = self._load(query, needed, ask, per_document, clock)
        if self._reranker is not None:
            passages = _reranked(self._reranker, text, passages)
            clock.lap("rerank")
        else:
            scores = [item.score for item in passages]
            places = reranking.order(text, scores, _texts(passages))
            passages = _in_order([passages[place] for place in places], passages)
            clock.lap("order")
        passages = self._shared(query, passages, limit, per_document)
        clock.lap("share")
        if exact := wanted(text):
            if exact.quoted:
                deep, refused = self._load(query, 1, QUOTED_DEPTH, QUOTED_PER_DOCUMENT, clock)
                passages = _quoted(exact, deep, passages, per_document)
            else:
                passages = _in_order([passages[place] for place in exact_first(exact, _texts(passages))], passages)
            clock.lap("exact")
        return SearchReport(
            passages=passages[:limit],
            partitions=partitions,
            searched_chunks=self._replica.index.count(partitions),
            index_seq=seq,
            model=self._embedder.model_id,
            timings=clock.laps,
            reranker=self._reranker.model_id if self._reranker is not None else "",
            refused=refused,
        )

    def still_finds(self, document_id: str, sentences: Sequence[str]) -> int:
        """How many of the sentences still find the document, for anybody: the proof of an erasure, never an answer."""
        self._replica.catch_up()
        self._replica.purge()
        index = self._replica.index
        partitions = index.partitions()
        vectors = self._embedder.embed(list(sentences))
        return sum(
            any(
                hit.document_id == document_id
                for hit in index.search(text, vector, partitions=partitions, limit=MAX_LIMIT, per_document=1)
            )
            for text, vector in zip(sentences, vectors, strict=True)
        )

    def _load(
        self, query: _Query, needed: int, ask: int, per_document: int, clock: _Clock
    ) -> tuple[list[FoundPassage], int]:
        """Hits become rows through policy. Passages of documents out of date fall out, so more are asked for when fewer
        than `needed` are left; a suspicious passage goes down, so a few more than that are looked at."""
        while True:
            hits = self._replica.index.search(
                query.text,
                query.vector,
                partitions=query.partitions,
                limit=ask,
                per_document=per_document,
                also=query.also,
            )
            clock.lap("search")
            found, refused = self._rows(query, hits)
            clock.lap("load")
            if len(found) >= needed or len(hits) < ask or ask >= 16 * MAX_LIMIT:
                return found, refused
            ask *= 4

    def _shared(self, query: _Query, found: list[FoundPassage], limit: int, per_document: int) -> list[FoundPassage]:
        """`found` with few passages of one uploader in front. When one person's fill the first places, other people's
        are looked for further down; behind they are as they come."""
        if crowd := sharing.crowd(found, limit):
            (person,) = crowd
            if policy.reads_others(query.user, person):
                hits = self._replica.index.search(
                    query.text,
                    query.vector,
                    partitions=query.partitions,
                    limit=sharing.OTHERS_DEPTH,
                    per_document=per_document,
                    also=query.also,
                )
                known = {item.chunk.pk for item in found}
                new = [hit.chunk_id for hit in hits if hit.chunk_id not in known]
                brought = policy.answerable_rows(query.user, timezone.localdate(), new, ("pk", "version__uploaded_by"))
                theirs = {pk for pk, uploader in brought if uploader != person}
                more, _ = self._rows(query, [hit for hit in hits if hit.chunk_id in theirs][:limit])
                found = found + more
        return _in_order(sharing.shared_out(found), sorted(found, key=lambda item: -item.score))

    def _rows(self, query: _Query, hits: Sequence[Hit]) -> tuple[list[FoundPassage], int]:
        """The passages as the person may see them, and how many are left out because of what is in them."""
        today = timezone.localdate()
        ids = [hit.chunk_id for hit in hits]
        chunks = rows.chunks(policy.answerable_rows(query.user, today, ids, rows.COLUMNS))
        there = {pk: row for pk, row in chunks.items() if row.text}  # empty: its key was destroyed a moment ago
        shown = personal.passages(there.values(), lambda row: query.rules.of(row.document.collection_id))
        refused = {pk for pk, row in there.items() if _refused(query.rules.of(row.document.collection_id), shown[pk])}
        found = [
            FoundPassage(
                there[hit.chunk_id],
                shown[hit.chunk_id],
                _trusted(hit.score, there[hit.chunk_id]),
                hit.dense,
                hit.lexical,
            )
            for hit in hits
            if hit.chunk_id in there and hit.chunk_id not in refused
        ]
        found.sort(key=lambda item: (-item.score, str(item.chunk.document_id), item.chunk.ordinal))
        return found, len(refused)


@dataclass(frozen=True, slots=True)
class _Query:
    """Who asks what, in which other words (`retrieval.synonyms`), of which partitions, and how personal data is shown
    to them."""

    user: User
    text: str
    also: Mapping[str, float]
    vector: NDArray[np.float32]
    partitions: Container[int]
    rules: personal.Rules


class _Clock:
    """Milliseconds between laps; laps of one name add up."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(self.laps.get(name, 0.0) + (now - self._last) * 1000, 3)
        self._last = now


def _reranked(reranker: PairScorer, text: str, found: list[FoundPassage]) -> list[FoundPassage]:
    """The first passages in the cross-encoder's order, the rest behind them as they were.

    Suspicious passages stand behind the others it read: words that please a model are easily planted.
    The first stage's scores are handed out anew in that order: they stay on the scale that evidence and pages know.
    """
    head = found[:RERANK_DEPTH]
    judged = [
        (_suspicious(item.chunk), -value, str(item.chunk.document_id), item.chunk.ordinal, place)
        for place, (value, item) in enumerate(zip(reranker.scores(text, _texts(head)), head, strict=True))
    ]
    return [*_in_order([head[place] for *_, place in sorted(judged)], head), *found[RERANK_DEPTH:]]


def _quoted(
    exact: Wanted, deep: list[FoundPassage], usual: list[FoundPassage], per_document: int
) -> list[FoundPassage]:
    """The passages that hold what is quoted, at most `per_document` of each document, then the usual ones.

    What a flagged passage holds counts for nothing: to plant what is likely to be looked for is easy."""
    trusted = [item for item in deep if not _suspicious(item.chunk)]
    first: list[FoundPassage] = []
    seen: Counter[UUID] = Counter()
    for place in exact_first(exact, texts := _texts(trusted)):
        document = trusted[place].chunk.document_id
        if exact.held(texts[place]) and seen[document] < per_document:
            seen[document] += 1
            first.append(trusted[place])
    chosen = {item.chunk.pk for item in first}
    order = [*first, *(item for item in usual if item.chunk.pk not in chosen)]
    top = max((item.score for item in order), default=0.0)
    return [replace(item, score=top) for item in first] + order[len(first) :]


def _in_order(order: list[FoundPassage], before: list[FoundPassage]) -> list[FoundPassage]:
    """`order` with the scores that stood at these places before."""
    return [replace(item, score=old.score) for item, old in zip(order, before, strict=True)]


def _texts(found: Sequence[FoundPassage]) -> list[str]:
    """What the person may see of each passage: nothing else may move it."""
    return [passage_text(item.passage.title, item.passage.headings, item.passage.shown.text) for item in found]


def _refused(rule: personal.Rule, passage: personal.Passage) -> bool:
    return rule.treatment == personal.Treatment.REFUSE and passage.hidden > 0


def together(user: User, found: Sequence[FoundPassage]) -> tuple[list[FoundPassage], personal.Rule]:
    """The passages as one text may draw on them: under the strictest rule of their collections, and that rule. (What is
    to be refused has been left out by the search; the rest is masked.)"""
    rules = personal.rules(user)
    rule = rules.together(item.chunk.document.collection_id for item in found)
    if rule.treatment == personal.Treatment.REFUSE:
        rule = replace(rule, treatment=personal.Treatment.MASK)
    if rule.shows or all(rules.of(item.chunk.document.collection_id) == rule for item in found):
        return list(found), rule
    shown = personal.passages([item.chunk for item in found], lambda _: rule)
    return [replace(item, passage=shown[item.chunk.pk]) for item in found], rule


def _trusted(score: float, chunk: Chunk) -> float:
    """Instruction-like passages count half: a flag for the order, never a matter of access."""
    return score * 0.5 if _suspicious(chunk) else score


def _suspicious(chunk: Chunk) -> bool:
    return chunk.suspicion >= injection.THRESHOLD_DOWNRANK


_making = threading.Lock()
_searcher: Searcher | None = None


def searcher() -> Searcher:
    """The process's searcher."""
    global _searcher
    with _making:
        if _searcher is None:
            _searcher = Searcher(embedder=engines.embedder(), replica=replica.replica(), reranker=engines.reranker())
        return _searcher
