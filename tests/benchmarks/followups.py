"""What a follow-up question loses in search against the same question asked to stand alone.

    python -m tests.benchmarks.followups [FILE.jsonl]

A row of the file (`followups.jsonl` beside this one, written for the demo company): {"before": the question before,
"question": the follow-up, "alone": the same to stand alone, "document": file name, "answer": words of the passage that
answers}. The demo company's documents are read, cut and indexed as the product does it; both forms are searched and
reordered as the product does it, the follow-up after its rewriting, without a language model. Measured is nDCG@10
over passages of that document which hold the answer. "raw" is the follow-up without any rewriting. The last line is one
JSON object; `kept` is the follow-ups' nDCG over that of the stand-alone forms (bar 0.90).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from assistant.chat.followups import Turn, contextualize
from assistant.demo.build import build
from retrieval import reranking
from retrieval.chunking import chunk_document, passage_text
from retrieval.embedding import MiniLMEmbedder
from retrieval.evaluation import ndcg_at_k
from retrieval.parsing import parse_file
from retrieval.retriever import Replica
from retrieval.schema import IndexRecord
from retrieval.synonyms import packaged
from retrieval.text import normalize

ROWS = Path(__file__).with_suffix(".jsonl")


class Library:
    """The demo company's passages, searchable."""

    def __init__(self) -> None:
        self.embedder = MiniLMEmbedder.load()
        self.replica = Replica(self.embedder.dimension, self.embedder.model_id)
        self.passages: list[str] = []
        self.owners: list[str] = []
        with tempfile.TemporaryDirectory() as folder:
            for spec in build(Path(folder)).documents:
                self._add(Path(folder) / spec.filename)

    def _add(self, path: Path) -> None:
        parsed = parse_file(path, filename=path.name)
        title = parsed.title or path.stem
        chunks = chunk_document(parsed, count_tokens=self.embedder.count_tokens)
        texts = [passage_text(title, chunk.headings, chunk.text) for chunk in chunks]
        first = len(self.passages)
        self.passages += texts
        self.owners += [path.name] * len(texts)
        records = [
            IndexRecord(first + place, path.name, 0, place, text, vector)
            for place, (text, vector) in enumerate(
                zip(texts, self.embedder.embed(texts).astype("float16"), strict=True)
            )
        ]
        self.replica.apply(path.name, records)

    def search(self, text: str) -> list[str]:
        vector = self.embedder.embed([text])[0]
        also = packaged().terms(text)
        hits = self.replica.search(text, vector, partitions=[0], limit=reranking.DEPTH, per_document=3, also=also)
        places = reranking.order(text, [hit.score for hit in hits], [self.passages[hit.chunk_id] for hit in hits])
        return [str(hits[place].chunk_id) for place in places]

    def right(self, document: str, answer: str) -> dict[str, float]:
        """The passages that answer."""
        words = normalize(answer)
        return {
            str(number): 1.0
            for number, (owner, text) in enumerate(zip(self.owners, self.passages, strict=True))
            if owner == document and words in normalize(text)
        }


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    library = Library()
    judged: dict[str, dict[str, float]] = {}
    runs: dict[str, dict[str, list[str]]] = {"alone": {}, "followup": {}, "raw": {}}
    for number, row in enumerate(rows):
        judged[str(number)] = library.right(row["document"], row["answer"])
        if not judged[str(number)]:
            sys.exit(f"no passage of {row['document']} says {row['answer']!r}")
        made = contextualize(row["question"], [Turn(row["before"])])
        for form, text in (("alone", row["alone"]), ("followup", made.search), ("raw", row["question"])):
            runs[form][str(number)] = library.search(text)
        each = {form: ndcg_at_k({"q": run[str(number)]}, {"q": judged[str(number)]}) for form, run in runs.items()}
        print(f"{each['alone']:.2f} {each['followup']:.2f} {each['raw']:.2f}  {row['question']} -> {made.search}")
    score = {form: round(ndcg_at_k(run, judged), 4) for form, run in runs.items()}
    kept = round(score["followup"] / score["alone"], 4)
    print(
        json.dumps({"benchmark": "followups", "baseline": "alone", "rows": len(rows), "ndcg@10": score, "kept": kept})
    )


if __name__ == "__main__":
    main()
