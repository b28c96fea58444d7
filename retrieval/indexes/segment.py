"""An immutable run of searchable rows: who they are, their vectors and their postings.

Knows how rows are ordered and merged. Does not know permissions, scoring or persistence.

Rows are sorted by (partition, document, ordinal), so a partition is one stretch of rows, a document another
inside it. Segments follow the log-structured pattern of Lucene: an update writes a small new segment and marks
old rows dead; segments of like size are merged; none exceeds `MAX_ROWS`, so that no merge takes long.
Nothing in a segment ever changes, which is why readers need no lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from retrieval.indexes.dense import DenseIndex, on_grid
from retrieval.indexes.lexical import MAX_ROWS, LexicalIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.schema import IndexRecord

__all__ = ["MAX_ROWS", "LiveSegment", "Segment"]

_numbers = count()


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows 0 to n. `documents[i]` owns rows `document_starts[i]` to `document_starts[i + 1]`, and so on."""

    number: int
    chunk_ids: NDArray[np.int64]
    ordinals: NDArray[np.uint32]
    lengths: NDArray[np.uint32]  # terms of each row
    documents: tuple[str, ...]
    document_starts: NDArray[np.int64]
    partitions: NDArray[np.int64]  # ascending
    partition_starts: NDArray[np.int64]
    dense: DenseIndex
    lexical: LexicalIndex

    @classmethod
    def of_document(cls, records: Sequence[IndexRecord], terms: Sequence[Sequence[str]]) -> Segment:
        """The segment of one document: `records` in order of `ordinal`, all of one partition; at least one."""
        rows = len(records)
        return cls.assemble(
            chunk_ids=np.array([record.chunk_id for record in records], dtype=np.int64),
            ordinals=np.array([record.ordinal for record in records], dtype=np.uint32),
            lengths=np.array([len(row) for row in terms], dtype=np.uint32),
            documents=(records[0].document_id,),
            document_starts=np.array([0, rows], dtype=np.int64),
            partitions=np.array([records[0].partition], dtype=np.int64),
            partition_starts=np.array([0, rows], dtype=np.int64),
            vectors=on_grid(np.stack([record.vector for record in records])),
            lexical=LexicalIndex.build(terms),
        )

    @classmethod
    def assemble(
        cls,
        *,
        chunk_ids: NDArray[np.int64],
        ordinals: NDArray[np.uint32],
        lengths: NDArray[np.uint32],
        documents: tuple[str, ...],
        document_starts: NDArray[np.int64],
        partitions: NDArray[np.int64],
        partition_starts: NDArray[np.int64],
        vectors: NDArray[np.int16],
        lexical: LexicalIndex,
    ) -> Segment:
        """Give the arrays a number and their FAISS index."""
        return cls(
            number=next(_numbers),
            chunk_ids=chunk_ids,
            ordinals=ordinals,
            lengths=lengths,
            documents=documents,
            document_starts=document_starts,
            partitions=partitions,
            partition_starts=partition_starts,
            dense=DenseIndex(vectors, partition_starts[:-1]),
            lexical=lexical,
        )

    @property
    def rows(self) -> int:
        """Rows, dead ones included."""
        return len(self.chunk_ids)

    def rows_of(self, document_id: str) -> slice:
        """Where the document's rows are; empty when it has none here."""
        try:
            place = self.documents.index(document_id)
        except ValueError:
            return slice(0, 0)
        return slice(int(self.document_starts[place]), int(self.document_starts[place + 1]))

    def owner(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index into `documents` for each of the given rows."""
        return np.searchsorted(self.document_starts, rows, side="right") - 1


@dataclass(frozen=True, slots=True, eq=False)
class LiveSegment:
    """A segment and which of its rows still count, with sums per partition over those rows."""

    segment: Segment
    alive: NDArray[np.bool_] | None  # None while no row is dead
    bitmap: NDArray[np.uint8] | None  # the same for FAISS
    counts: NDArray[np.int64]  # live rows of each partition
    lengths: NDArray[np.int64]  # their terms

    @classmethod
    def of(cls, segment: Segment, alive: NDArray[np.bool_] | None = None) -> LiveSegment:
        """Sum up the live rows; `alive` None means all."""
        kept = np.ones(segment.rows, dtype=np.int64) if alive is None else alive.astype(np.int64)
        starts = segment.partition_starts[:-1]
        return cls(
            segment=segment,
            alive=alive,
            bitmap=None if alive is None else np.packbits(alive, bitorder="little"),
            counts=np.add.reduceat(kept, starts),
            lengths=np.add.reduceat(kept * segment.lengths, starts),
        )

    @property
    def rows(self) -> int:
        """Live rows."""
        return int(self.counts.sum())

    def without(self, document_id: str) -> LiveSegment:
        """The same segment with the document's rows dead."""
        place = self.segment.rows_of(document_id)
        alive = np.ones(self.segment.rows, dtype=np.bool_) if self.alive is None else self.alive.copy()
        alive[place] = False
        return LiveSegment.of(self.segment, alive)


def merge(parts: Sequence[LiveSegment]) -> Segment:
    """One segment with the live rows of all parts, which together are at least one and at most `MAX_ROWS`."""
    pieces = [_Piece.of(part) for part in parts]
    ranks = {name: rank for rank, name in enumerate(sorted({doc for piece in pieces for doc in piece.names}))}
    names = sorted(ranks)
    partitions = np.concatenate([piece.partitions for piece in pieces])
    documents = np.concatenate([piece.document_ranks(ranks) for piece in pieces])
    ordinals = np.concatenate([part.segment.ordinals[p.rows] for part, p in zip(parts, pieces, strict=True)])
    order = np.lexsort((ordinals, documents, partitions))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))

    sources: list[tuple[LexicalIndex, NDArray[np.int64]]] = []
    offset = 0
    for part, piece in zip(parts, pieces, strict=True):
        numbers = np.full(part.segment.rows, -1, dtype=np.int64)
        numbers[piece.rows] = place[offset : offset + len(piece.rows)]
        offset += len(piece.rows)
        sources.append((part.segment.lexical, numbers))

    vectors = np.empty((len(order), parts[0].segment.dense.dimension), dtype=np.int16)
    for (_, numbers), part in zip(sources, parts, strict=True):
        vectors[numbers[numbers >= 0]] = part.segment.dense.matrix()[numbers >= 0]

    def gather(name: str) -> NDArray[np.int64]:
        columns = [getattr(part.segment, name)[p.rows] for part, p in zip(parts, pieces, strict=True)]
        return np.asarray(np.concatenate(columns)[order])

    documents, partitions = documents[order], partitions[order]
    new_document = np.flatnonzero(np.append(True, (np.diff(documents) != 0) | (np.diff(partitions) != 0)))
    new_partition = np.flatnonzero(np.append(True, np.diff(partitions) != 0))
    return Segment.assemble(
        chunk_ids=gather("chunk_ids"),
        ordinals=ordinals[order],
        lengths=gather("lengths").astype(np.uint32),
        documents=tuple(names[rank] for rank in documents[new_document]),
        document_starts=np.append(new_document, len(order)).astype(np.int64),
        partitions=partitions[new_partition],
        partition_starts=np.append(new_partition, len(order)).astype(np.int64),
        vectors=vectors,
        lexical=LexicalIndex.merge(sources),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """The live rows of one part of a merge, and whose they are."""

    rows: NDArray[np.int64]
    partitions: NDArray[np.int64]
    owners: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, part: LiveSegment) -> _Piece:
        segment = part.segment
        rows = np.arange(segment.rows) if part.alive is None else np.flatnonzero(part.alive)
        runs = np.searchsorted(segment.partition_starts, rows, side="right") - 1
        return cls(rows, segment.partitions[runs], segment.owner(rows), segment.documents)

    def document_ranks(self, ranks: dict[str, int]) -> NDArray[np.int64]:
        table = np.array([ranks[name] for name in self.names], dtype=np.int64)
        return np.asarray(table[self.owners])
