"""Measures of ranking, and a runner for folders in the layout of BEIR.

Knows judgements and ranked lists. The runner also knows how a folder is laid out (Thakur et al. 2021,
https://arxiv.org/abs/2104.08663): `corpus.jsonl` (_id, title, text), `queries.jsonl` (_id, text) and
`qrels.tsv`, in the folder or under `qrels/`, where `test.tsv` is preferred. Every document is cut, embedded
and indexed as the product does it; a document ranks where its best passage ranks.

    python -m retrieval.evaluation DIR... [--json]

prints one line a set and configuration: either leg alone, both fused, and fused then reranked. With `--json`
the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.chunking import chunk_document, passage_text
from retrieval.embedding import Embedder, MiniLMEmbedder
from retrieval.reranking import order
from retrieval.retriever import Replica
from retrieval.schema import IndexRecord, ParsedDocument, ParsedPage
from retrieval.synonyms import packaged

if TYPE_CHECKING:
    from numpy.typing import NDArray

Judgements = Mapping[str, Mapping[str, float]]  # query -> document -> gain above 0
Run = Mapping[str, Sequence[str]]  # query -> documents, best first

DEPTH = 100
LEGS = ("bm25", "dense", "hybrid", "hybrid+rerank")


def ndcg_at_k(run: Run, judgements: Judgements, k: int = 10) -> float:
    """Mean normalised discounted cumulative gain, linear gains (Järvelin and Kekäläinen 2002), 0 to 1."""

    def score(ranked: Sequence[str], gains: Mapping[str, float]) -> float:
        found = (gains.get(document, 0.0) for document in ranked[:k])
        ideal = sorted(gains.values(), reverse=True)[:k]
        return _discounted(found) / _discounted(ideal)

    return _mean(run, judgements, score)


def recall_at_k(run: Run, judgements: Judgements, k: int = 100) -> float:
    """Mean share of the relevant documents among the first `k`, 0 to 1."""
    return _mean(run, judgements, lambda ranked, gains: len(set(ranked[:k]) & set(gains)) / len(gains))


def mrr_at_k(run: Run, judgements: Judgements, k: int = 10) -> float:
    """Mean reciprocal rank of the first relevant document, 0 where none is among the first `k`."""

    def score(ranked: Sequence[str], gains: Mapping[str, float]) -> float:
        return next((1.0 / place for place, document in enumerate(ranked[:k], 1) if document in gains), 0.0)

    return _mean(run, judgements, score)


def _discounted(gains: Sequence[float] | Iterator[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))


def _mean(run: Run, judgements: Judgements, score: _Score) -> float:
    """Over all judged queries; one that was not run counts as 0."""
    judged = {query: gains for query, gains in judgements.items() if gains}
    if not judged:
        raise ValueError("no query has a relevant document")
    return statistics.fmean(score(run.get(query, ()), gains) for query, gains in judged.items())


if TYPE_CHECKING:
    from collections.abc import Callable

    _Score = Callable[[Sequence[str], Mapping[str, float]], float]


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """One folder: documents as (title, text) by id, questions by id, and what is relevant."""

    name: str
    documents: Mapping[str, tuple[str, str]]
    questions: Mapping[str, str]
    judgements: Judgements

    @classmethod
    def read(cls, folder: Path) -> JudgedSet:
        """Raises `OSError` or `ValueError` for a folder that is not laid out as described above."""
        documents = {
            str(item["_id"]): (str(item.get("title") or ""), str(item["text"]))
            for item in _json_lines(folder / "corpus.jsonl")
        }
        questions = {str(item["_id"]): str(item["text"]) for item in _json_lines(folder / "queries.jsonl")}
        judgements: dict[str, dict[str, float]] = {}
        choices = [folder / "qrels.tsv", folder / "qrels" / "test.tsv", *sorted(folder.glob("qrels/*.tsv"))]
        path = next((choice for choice in choices if choice.exists()), choices[0])
        for line in path.read_text(encoding="utf-8").splitlines():
            query, document, gain = (*line.split("\t"), "", "")[:3]
            if query in questions and document in documents and float(gain) > 0:
                judgements.setdefault(query, {})[document] = float(gain)
        return cls(folder.name, documents, questions, judgements)


def _json_lines(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                yield json.loads(line)


class Collection:
    """A judged set, indexed; answers its questions in any configuration of `LEGS`."""

    def __init__(self, judged: JudgedSet, embedder: Embedder) -> None:
        self.judged = judged
        self.embedder = embedder
        self.passages: list[str] = []
        self.replica = Replica(embedder.dimension, embedder.model_id)
        spans: dict[str, range] = {}
        for document_id, (title, text) in judged.documents.items():
            parsed = ParsedDocument("text/plain", title or None, (ParsedPage(1, text),))
            chunks = chunk_document(parsed, count_tokens=embedder.count_tokens)
            texts = [passage_text(title, chunk.headings, chunk.text) for chunk in chunks] or [title]
            spans[document_id] = range(len(self.passages), len(self.passages) + len(texts))
            self.passages.extend(texts)
        self.vectors = embedder.embed(self.passages).astype(np.float16)
        self.replica.apply_many(
            (
                document_id,
                [
                    IndexRecord(place, document_id, 0, place - span.start, self.passages[place], self.vectors[place])
                    for place in span
                ],
            )
            for document_id, span in spans.items()
        )

    def run(self, leg: str) -> tuple[Run, float]:
        """Ranked documents of every judged question, and the median milliseconds of one search."""
        questions = {query: self.judged.questions[query] for query in self.judged.judgements}
        vectors = self.embedder.embed(list(questions.values()))
        run: dict[str, list[str]] = {}
        times: list[float] = []
        for (query, text), vector in zip(questions.items(), vectors, strict=True):
            start = time.perf_counter()
            run[query] = self._ranked(leg, text, vector)
            times.append(time.perf_counter() - start)
        return run, 1000.0 * statistics.median(times)

    def _ranked(self, leg: str, text: str, vector: NDArray[np.float32]) -> list[str]:
        weight = {"bm25": 0.0, "dense": 1.0}.get(leg)
        also = packaged().terms(text)
        hits = self.replica.search(
            text, vector, partitions=[0], limit=DEPTH, per_document=1, dense_weight=weight, also=also
        )
        if leg == "hybrid+rerank":
            places = order(text, [hit.score for hit in hits], [self.passages[hit.chunk_id] for hit in hits])
            hits = [hits[place] for place in places]
        return [hit.document_id for hit in hits]


def evaluate(folder: Path, embedder: Embedder, legs: Sequence[str] = LEGS) -> dict[str, object]:
    """Measures of every leg on one folder, with its size."""
    judged = JudgedSet.read(folder)
    collection = Collection(judged, embedder)
    result: dict[str, object] = {
        "set": judged.name,
        "documents": len(judged.documents),
        "passages": len(collection.passages),
        "queries": len(judged.judgements),
    }
    for leg in legs:
        run, milliseconds = collection.run(leg)
        result[leg] = {
            "ndcg@10": round(ndcg_at_k(run, judged.judgements), 4),
            "recall@100": round(recall_at_k(run, judged.judgements), 4),
            "mrr@10": round(mrr_at_k(run, judged.judgements), 4),
            "median_ms": round(milliseconds, 2),
        }
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a folder in the layout of BEIR")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(arguments)
    embedder = MiniLMEmbedder.load()
    write = sys.stdout.write
    results: list[dict[str, object]] = []
    for folder in options.folders:
        try:
            result = evaluate(folder, embedder)
        except (OSError, ValueError, KeyError) as error:
            sys.stderr.write(f"{folder}: {type(error).__name__}: {error}\n")
            return 2
        results.append(result)
        write(f"{result['set']}: {result['documents']} documents, {result['queries']} queries\n")
        for leg in LEGS:
            measures = result[leg]
            assert isinstance(measures, dict)
            write(f"  {leg:14}" + "".join(f"  {name} {value:.4f}" for name, value in measures.items()) + "\n")
    if options.json:
        write(json.dumps({"model": embedder.model_id, "results": results}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
