"""The searchable replica: apply changes, search what may be read, exactly.

Knows partitions as numbers, documents as opaque ids, and how the two legs of a hybrid search are run over the
same rows. Does not know people, grants, databases or the text of a passage after it was indexed.

Permission-exactness is structural, not a filter. The partitions are a required argument; rows of others are
neither scanned nor counted: FAISS is handed the lists to scan, BM25 statistics (rows, lengths, document
frequencies) are summed over the named partitions at question time. Scores are computed from integers and
exact dot products in an order fixed by the query alone, and ties are broken by (document_id, ordinal), so a
result is bit for bit what it would be if nothing else had ever been indexed, in any order of updates.

Readers take one reference to an immutable tuple of segments and need no lock; a writer prepares new segments
beside it and swaps the tuple. A search therefore sees a document's old rows or its new ones, never a mixture.
`apply` merges small segments only, within milliseconds; `compact`, for a quiet moment, merges large ones without
holding up anybody.
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from retrieval.bm25 import WordScores, nth_largest
from retrieval.config import RetrieverOptions
from retrieval.errors import IndexMismatch
from retrieval.fusion import dense_share, fuse
from retrieval.indexes.segment import MAX_ROWS, LiveSegment, Segment, merge
from retrieval.indexes.selection import Selection
from retrieval.schema import Hit, IndexRecord
from retrieval.text import question_terms, tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAN = 4  # segments of like size that are merged into one
APPLY_ROWS = 8192  # the largest segment that an update may write
FEW = 4  # times as many rows as candidates: scoring all is then quicker than choosing
EXACT_ROWS = 256  # so many rows are scored exactly sooner than FAISS is called twice
CERTAIN_ROWS = 20_000  # among fewer, a few rows too many cost less than scoring the best twice to have a narrow floor
PLANS = 32  # sets of partitions whose rows are remembered: at most a byte a passage for each
PARALLEL_ROWS = 100_000  # from here on one search uses several threads
_pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="retrieval")


class Replica:
    """An in-memory index of passages, partitioned by scope. Many readers, one writer at a time.

    `seq` is the caller's: the number of the last event applied. It is kept in snapshots.
    """

    def __init__(self, dimension: int, model_id: str, options: RetrieverOptions | None = None) -> None:
        self.dimension = dimension
        self.model_id = model_id
        self.options = options or RetrieverOptions()
        self.seq = 0
        self._view = View(())
        self._places: dict[str, tuple[int, ...]] = {}  # document -> numbers of its segments; writers only
        self._lock = threading.Lock()

    @classmethod
    def restore(
        cls, dimension: int, model_id: str, options: RetrieverOptions | None, segments: Iterable[Segment], seq: int
    ) -> Replica:
        """A replica of segments that another one had (`retrieval.indexes.snapshot`)."""
        replica = cls(dimension, model_id, options)
        replica.seq = seq
        replica._view = View(tuple(LiveSegment.of(segment) for segment in segments))
        for part in replica._parts:
            replica._register(part.segment)
        return replica

    @property
    def _parts(self) -> tuple[LiveSegment, ...]:
        return self._view.parts

    def __len__(self) -> int:
        """Searchable passages."""
        return sum(part.rows for part in self._parts)

    def partitions(self) -> frozenset[int]:
        """Partitions that hold at least one passage."""
        return frozenset(
            int(partition)
            for part in self._parts
            for partition, rows in zip(part.segment.partitions, part.counts, strict=True)
            if rows
        )

    def count(self, partitions: Collection[int]) -> int:
        """Searchable passages in the named partitions."""
        return sum(selection.rows for selection in self._view.selections(partitions))

    def apply(self, document_id: str, records: Sequence[IndexRecord]) -> None:
        """Make `records` exactly what is searchable of the document: add, replace, move or (empty) remove.

        Idempotent. Takes effect for every search that begins after it returns. Raises `IndexMismatch`, and
        changes nothing, for records of another document, of two partitions, or with an unfit vector.
        """
        self.apply_many([(document_id, records)])

    def apply_many(self, changes: Iterable[tuple[str, Sequence[IndexRecord]]]) -> None:
        """`apply` for several documents, visible all at once; the quick way to build a replica."""
        fresh: dict[str, list[LiveSegment]] = {}
        for document_id, records in changes:
            fresh[document_id] = self._segments_of(document_id, records)
        with self._lock:
            parts = {part.segment.number: part for part in self._parts}
            for document_id, added in fresh.items():
                for number in self._places.pop(document_id, ()):
                    left = parts.pop(number).without(document_id)
                    if left.rows:
                        parts[number] = left
                for part in added:
                    parts[part.segment.number] = part
                    self._register(part.segment)
            self._view = View(self._tidy(parts))

    def compact(self) -> None:
        """Merge large segments of like size. Searches and updates go on meanwhile; results do not change."""
        while group := _crowded(self._parts, MAX_ROWS):
            self._swap(group)

    def purge(self) -> None:
        """Rewrite every segment that still holds dead rows, so that nothing of a removed passage remains.

        What was removed before the call is gone from memory after it. Searches and updates go on meanwhile.
        """
        while dead := [part for part in self._parts if part.alive is not None]:
            self._swap(dead[:1])

    def tidy(self) -> None:
        """`purge` and `compact`: what a snapshot wants before. Searches and updates go on meanwhile."""
        self.purge()
        self.compact()

    def frozen(self) -> Replica:
        """What is searchable now and the number of now, which no later change reaches. Takes no time: nothing is copied
        but dead rows, which are left out. The caller applies nothing meanwhile."""
        self.purge()
        segments = (part.segment for part in self._parts)
        return Replica.restore(self.dimension, self.model_id, self.options, segments, self.seq)

    def segments(self) -> tuple[Segment, ...]:
        """The segments, without dead rows; the caller applies nothing meanwhile."""
        self.purge()
        return tuple(part.segment for part in self._parts)

    def search(
        self,
        text: str,
        vector: NDArray[np.floating],
        *,
        partitions: Collection[int],
        limit: int,
        per_document: int,
        dense_weight: float | None = None,
        also: Mapping[str, float] | None = None,
    ) -> list[Hit]:
        """The best passages of the named partitions, best first, at most `per_document` of one document.

        `text` is what BM25 reads, `vector` its embedding of shape (dimension,). No partitions: no hits. Raises
        `IndexMismatch` when the vector does not fit. As many hits are returned as there are, up to `limit`.
        `dense_weight` 0 is BM25 alone, 1 is the vectors alone; None weighs them for this query. `also` are terms
        that BM25 looks for besides those of the text, each with its weight beside 1 of those
        (`retrieval.synonyms`).
        """
        query = self._query(vector)
        if not partitions or limit < 1 or per_document < 1:
            return []
        selections = self._view.selections(partitions)
        total = sum(selection.rows for selection in selections)
        if not total:
            return []
        lexical = WordScores(selections, {**(also or {}), **Counter(question_terms(text))}, self.options)
        share = dense_share(text, self.options.dense_weight) if dense_weight is None else dense_weight
        depth = max(self.options.candidates, 2 * limit)
        while True:
            hits = self._fused(selections, lexical, query, min(depth, total), share)
            chosen = _diverse(hits, limit, per_document)
            if len(chosen) == limit or depth >= total:
                return chosen
            depth *= 4

    def _fused(
        self,
        selections: Sequence[Selection],
        lexical: WordScores,
        query: NDArray[np.float64],
        depth: int,
        share: float,
    ) -> list[Hit]:
        """The best `depth` rows of either leg, best first, ties by (document_id, ordinal)."""
        by_meaning = dense_candidates(selections, query, depth)
        by_words = lexical.candidates(depth)
        rows = [np.union1d(a, b) for a, b in zip(by_meaning, by_words, strict=True)]
        dense = [s.part.segment.dense.exact(query, r) for s, r in zip(selections, rows, strict=True)]
        words = [lexical.scores(place, r) for place, r in enumerate(rows)]
        fused = fuse(np.concatenate(dense), np.concatenate(words), share)
        order: list[tuple[float, str, int, Hit]] = []
        for selection, part_rows, *columns in zip(selections, rows, dense, words, _split(fused, rows), strict=True):
            segment = selection.part.segment
            names = [segment.documents[owner] for owner in segment.owner(part_rows).tolist()]
            numbers = segment.chunk_ids[part_rows].tolist(), segment.ordinals[part_rows].tolist()
            scores = (column.tolist() for column in columns)
            for name, chunk_id, ordinal, cosine, lexical_score, score in zip(names, *numbers, *scores, strict=True):
                order.append((-score, name, ordinal, Hit(chunk_id, name, score, cosine, lexical_score)))
        order.sort(key=lambda item: item[:3])
        return [item[3] for item in order]

    def _query(self, vector: NDArray[np.floating]) -> NDArray[np.float64]:
        """The query rounded to float16, as the rows are, in a type whose products and sums are exact."""
        query = np.asarray(vector)
        if query.shape != (self.dimension,):
            raise IndexMismatch(f"the query has shape {query.shape}, not ({self.dimension},)")
        rounded = query.astype(np.float16).astype(np.float64)
        if not np.isfinite(rounded).all():
            raise IndexMismatch("the query vector is not finite")
        return np.asarray(rounded)

    def _segments_of(self, document_id: str, records: Sequence[IndexRecord]) -> list[LiveSegment]:
        """Segments of a document's new rows, checked; none for no records."""
        if len({record.partition for record in records}) > 1:
            raise IndexMismatch(f"document {document_id} lies in more than one partition")
        if len({record.ordinal for record in records}) != len(records):
            raise IndexMismatch(f"document {document_id} has two passages with one ordinal")
        for record in records:
            if record.document_id != document_id:
                raise IndexMismatch(f"a passage of {record.document_id} is given for {document_id}")
            if record.vector.shape != (self.dimension,) or not np.isfinite(record.vector).all():
                raise IndexMismatch(f"passage {record.ordinal} of {document_id} has an unfit vector")
        ordered = sorted(records, key=lambda record: record.ordinal)
        segments: list[LiveSegment] = []
        for start in range(0, len(ordered), MAX_ROWS):
            piece = ordered[start : start + MAX_ROWS]
            segments.append(LiveSegment.of(Segment.of_document(piece, [tokenize(r.text) for r in piece])))
        return segments

    def _register(self, segment: Segment) -> None:
        here = (segment.number,)
        for document_id in segment.documents:
            before = self._places.get(document_id, ())
            self._places[document_id] = (*before, segment.number) if before else here

    def _tidy(self, parts: dict[int, LiveSegment]) -> tuple[LiveSegment, ...]:
        """Merge small segments of like size, and rewrite small ones that are mostly dead."""
        for part in list(parts.values()):
            if part.rows * 2 < part.segment.rows <= APPLY_ROWS:
                self._replace(parts, [part], merge([part]))
        while group := _crowded(tuple(parts.values()), APPLY_ROWS):
            self._replace(parts, group, merge(group))
        return tuple(parts.values())

    def _swap(self, old: Sequence[LiveSegment]) -> None:
        """Merge `old` without the lock, and put the result in its place unless it has changed meanwhile."""
        merged = merge(old)
        with self._lock:
            parts = {part.segment.number: part for part in self._parts}
            if all(parts.get(part.segment.number) is part for part in old):
                self._replace(parts, old, merged)
                self._view = View(tuple(parts.values()))

    def _replace(self, parts: dict[int, LiveSegment], old: Sequence[LiveSegment], merged: Segment) -> None:
        """Put `merged` in the place of `old`."""
        gone = {part.segment.number for part in old}
        for number in gone:
            del parts[number]
        parts[merged.number] = LiveSegment.of(merged)
        here = (merged.number,)
        for document_id in merged.documents:
            rest = tuple(n for n in self._places[document_id] if n not in gone)
            self._places[document_id] = (*rest, merged.number) if rest else here


class View:
    """The segments of one moment, and what was worked out about sets of partitions in them. Safe to share.

    A plan says which rows of these very segments lie in the partitions named, and nothing about people: who may read
    what is asked of the database before each search, and names other partitions when it has changed. Every update
    makes a new view without plans, so none can outlive what it was made of.
    """

    def __init__(self, parts: tuple[LiveSegment, ...]) -> None:
        self.parts = parts
        self._plans: OrderedDict[tuple[int, ...], tuple[Selection, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def selections(self, partitions: Collection[int]) -> tuple[Selection, ...]:
        """The rows of the named partitions, segment by segment."""
        key = tuple(partitions)
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
        wanted = _ascending(key)
        plan = tuple(s for s in (Selection.of(part, wanted) for part in self.parts) if s is not None)
        with self._lock:
            self._plans[key] = plan
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan


def _ascending(partitions: Collection[int]) -> NDArray[np.int64]:
    return np.unique(np.fromiter(partitions, dtype=np.int64, count=len(partitions)))


def _crowded(parts: Sequence[LiveSegment], limit: int) -> list[LiveSegment]:
    """Segments of like size that fit into one of `limit` rows, the smallest first; empty when nothing is to do."""
    tiers: dict[int, list[LiveSegment]] = {}
    for part in parts:
        if part.rows * 2 <= limit:
            tiers.setdefault(int(math.log(part.rows, FAN)), []).append(part)
    for _, tier in sorted(tiers.items()):
        if len(tier) >= FAN:
            chosen: list[LiveSegment] = []
            for part in sorted(tier, key=lambda item: item.rows):
                if sum(item.rows for item in chosen) + part.rows <= limit:
                    chosen.append(part)
            return chosen
    return []


def dense_candidates(
    selections: Sequence[Selection], query: NDArray[np.float64], depth: int
) -> list[NDArray[np.int64]]:
    """Rows of each selection that are among the best `depth` by meaning, ties at the end included."""
    rows = _near(selections, query, depth)
    exact = [s.part.segment.dense.exact(query, r) for s, r in zip(selections, rows, strict=True)]
    bound = nth_largest(np.concatenate(exact), depth)
    return [r[values >= bound] for r, values in zip(rows, exact, strict=True)]


def _near(selections: Sequence[Selection], query: NDArray[np.float64], depth: int) -> list[NDArray[np.int64]]:
    """Rows of each selection, ascending, with the best `depth` among them and few others."""
    total = sum(selection.rows for selection in selections)
    if total <= max(EXACT_ROWS, FEW * depth):
        return [selection.all_rows() for selection in selections]
    length = float(np.linalg.norm(query))
    slack = [selection.part.segment.dense.slack(length) for selection in selections]
    # Several times its fair share, so that what lies within the slack is usually there at once.
    ask = [min(s.rows, depth // 2 + 16 + FEW * depth * s.rows // total) for s in selections]
    # One thread a segment: FAISS's own threads would wait for each other at the end of every segment.
    spread = _pool.map if total >= PARALLEL_ROWS else map
    found = list(spread(lambda s, k: s.nearest(query, k), selections, ask))
    # What the best `depth` have for certain: whatever may reach that may be among them, in every segment.
    if total < CERTAIN_ROWS:
        floor = nth_largest(np.concatenate([scores for scores, _ in found]), depth) - max(slack)
    else:
        floor = _certain(selections, found, query, depth)
    reach = [floor - each for each in slack]
    while True:
        short = [
            i
            for i, (scores, _) in enumerate(found)
            if ask[i] < selections[i].rows and len(scores) and scores[-1] >= reach[i]
        ]
        if not short:
            return [np.sort(rows[scores >= least]) for (scores, rows), least in zip(found, reach, strict=True)]
        for i in short:
            ask[i] = min(selections[i].rows, ask[i] * 4)
        for i, again in zip(short, spread(lambda i: selections[i].nearest(query, ask[i]), short), strict=True):
            found[i] = again


def _certain(
    selections: Sequence[Selection],
    found: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
    query: NDArray[np.float64],
    depth: int,
) -> float:
    """The exact score that at least `depth` rows reach: that of the worst among the best by rough score."""
    floor = nth_largest(np.concatenate([scores for scores, _ in found]), depth)
    chosen = [np.sort(rows[scores >= floor]) for scores, rows in found]
    exact = [s.part.segment.dense.exact(query, rows) for s, rows in zip(selections, chosen, strict=True)]
    return nth_largest(np.concatenate(exact), depth)


def _split(values: NDArray[np.float64], rows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float64]]:
    """One array of values as an array for each of `rows`."""
    return np.split(values, np.cumsum([len(each) for each in rows])[:-1])


def _diverse(hits: Iterable[Hit], limit: int, per_document: int) -> list[Hit]:
    seen: Counter[str] = Counter()
    chosen: list[Hit] = []
    for hit in hits:
        if seen[hit.document_id] < per_document:
            seen[hit.document_id] += 1
            chosen.append(hit)
            if len(chosen) == limit:
                break
    return chosen
