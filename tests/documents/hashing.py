"""A stand-in for the embedding model that hashes words, so that thousands of steps take seconds, and the commit of an
ingestion with it. Index, database, rights and services around it are the real ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from assistant import leases
from assistant.documents import ingestion
from assistant.documents import replica as replicas
from assistant.documents.models import DocumentVersion, Status
from assistant.documents.search import Searcher
from retrieval.schema import Chunk as Passage
from retrieval.schema import ParsedDocument, ParsedPage

DIMENSION = 32


class HashingEmbedder:
    """Bag of hashed words: the same text gives the same vector, texts with words in common are near. Each `generation`
    hashes otherwise and has other sizes, as another model would."""

    max_tokens = 200

    def __init__(self, generation: int = 1) -> None:
        self.model_id = f"hashing@{generation}"
        self.dimension = DIMENSION + 8 * (generation - 1)
        self._salt = generation.to_bytes(2, "big") if generation > 1 else b""

    def embed(self, texts):
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[hashlib.sha256(self._salt + word.encode()).digest()[0] % self.dimension] += 1.0
            row += 0.01
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]


EMBEDDER = HashingEmbedder()


def finish(version: DocumentVersion, text: str, title: str, embedder: HashingEmbedder = EMBEDDER) -> None:
    """What a worker does once a file is parsed: the real claim and the real commit."""
    job = leases.claim(DocumentVersion.objects.filter(status=Status.QUEUED), version.pk, seconds=20)
    assert job is not None
    page = ParsedPage(1, text)
    passages = [Passage(0, 1, (), 0, len(text), text)]
    vectors = [row.astype("<f2").tobytes() for row in embedder.embed([text])]
    parsed = ParsedDocument("text/plain", title, (page,))
    read = ingestion._Read(parsed, title, passages, [0.0], vectors, embedder.model_id, veiled=False, personal_data={})
    ingestion._commit(job, read)


def new_searcher(folder: Path, embedder: HashingEmbedder = EMBEDDER) -> Searcher:
    return Searcher(
        embedder=embedder,
        replica=replicas.DocumentReplica(dimension=embedder.dimension, model_id=embedder.model_id, folder=folder),
    )
