"""Other ways to search the same passages, each filtering by partition as its documentation says.

Knows: one class of call, `answer(question, vector)`, per alternative and person. Does not know: how it is timed. An
alternative that is not installed is left out; none of them is needed by the product. To have them all:

    python -m venv /tmp/peers && /tmp/peers/bin/pip install tantivy bm25s lancedb
    .venv/bin/python -m tests.benchmarks.search --peers-from /tmp/peers/lib/python3.11/site-packages ...

- `faiss-flat` (vectors): IndexFlatIP, float32, IDSelectorBitmap of the readable rows. Exact.
- `lancedb` (vectors): flat search, metric "dot", `where("partition IN (...)", prefilter=True)`. Exact: its approximate
  indexes do not keep recall under a narrow filter.
- `fts5` (words): SQLite, porter stemming, `MATCH ... AND partition IN (...) ORDER BY rank`.
- `tantivy` (words): English stemmer, the words as optional clauses, the readable partitions as a required term set.
- `bm25s` (words): `retrieve(weight_mask=...)` over the product's own terms.

The words' alternatives score with statistics of the whole corpus: what one may not read changes their order.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np

from retrieval.text import tokenize

Answer = Callable[[str, np.ndarray], Any]
Reader = Callable[[list[int]], Answer]  # readable partitions -> search for that person

_BATCH = 20_000


class Rows(Protocol):
    """The passages of a world."""

    size: int
    vectors: np.ndarray

    def text(self, row: int) -> str: ...

    def partition(self, row: int) -> int: ...


def all_peers(rows: Rows, folder: Path) -> dict[str, tuple[str, Reader]]:
    """Name -> (its leg, its reader), of what is installed."""
    found = {"faiss-flat": ("vectors", flat(rows)), "fts5": ("words", fts5(rows))}
    for name, leg, make in (
        ("lancedb", "vectors", lambda: lancedb(rows, folder / "lance")),
        ("tantivy", "words", lambda: tantivy(rows)),
        ("bm25s", "words", lambda: bm25s(rows)),
    ):
        if importlib.util.find_spec(name):
            found[name] = (leg, make())
    return found


def flat(rows: Rows, depth: int = 10) -> Reader:
    dimension = rows.vectors.shape[1]
    index = faiss.IndexFlatIP(dimension)
    for start in range(0, rows.size, _BATCH):
        index.add(rows.vectors[start : start + _BATCH].astype(np.float32))
    owners = _owners(rows)

    def reader(readable: list[int]) -> Answer:
        bits = np.packbits(np.isin(owners, readable), bitorder="little")
        parameters: Any = faiss.SearchParameters()
        parameters.sel = faiss.IDSelectorBitmap(rows.size, faiss.swig_ptr(bits))

        def answer(text: str, vector: np.ndarray) -> Any:
            assert bits is not None  # the selector points into it
            return index.search(vector[None], depth, params=parameters)

        return answer

    return reader


def lancedb(rows: Rows, folder: Path) -> Reader:
    arrow: Any = importlib.import_module("pyarrow")
    dimension = rows.vectors.shape[1]

    def batches() -> Iterator[Any]:
        for start in range(0, rows.size, _BATCH):
            points = rows.vectors[start : start + _BATCH].astype(np.float32)
            ids = range(start, start + len(points))
            vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(points.reshape(-1)), dimension)
            owners = arrow.array([rows.partition(row) for row in ids], arrow.int32())
            yield arrow.record_batch([arrow.array(ids, arrow.int64()), owners, vectors], schema=schema)

    kind = arrow.list_(arrow.float32(), dimension)
    schema = arrow.schema([("id", arrow.int64()), ("partition", arrow.int32()), ("vector", kind)])
    database: Any = importlib.import_module("lancedb").connect(str(folder))
    table = database.create_table("passages", data=arrow.Table.from_batches(list(batches())), schema=schema)
    table.create_scalar_index("partition")

    def reader(readable: list[int]) -> Answer:
        where = f"partition IN ({','.join(map(str, readable))})"

        def answer(text: str, vector: np.ndarray) -> Any:
            query = table.search(vector).metric("dot").where(where, prefilter=True).select(["id"]).limit(10)
            return query.to_arrow()

        return answer

    return reader


def fts5(rows: Rows) -> Reader:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE passages USING fts5(text, partition UNINDEXED, tokenize='porter unicode61')")
    database.executemany(
        "INSERT INTO passages VALUES (?, ?)", ((rows.text(row), rows.partition(row)) for row in range(rows.size))
    )

    def reader(readable: list[int]) -> Answer:
        where = ",".join(map(str, readable))
        sql = f"SELECT rowid FROM passages WHERE passages MATCH ? AND partition IN ({where}) ORDER BY rank LIMIT 10"

        def answer(text: str, vector: np.ndarray) -> Any:
            return database.execute(sql, (" OR ".join(f'"{word}"' for word in _words(text)),)).fetchall()

        return answer

    return reader


def tantivy(rows: Rows) -> Reader:
    library: Any = importlib.import_module("tantivy")
    builder = library.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="en_stem")
    builder.add_unsigned_field("partition", stored=False, indexed=True, fast=True)
    schema = builder.build()
    index = library.Index(schema)
    writer = index.writer(200_000_000, 1)
    for row in range(rows.size):
        document = library.Document()
        document.add_text("text", rows.text(row))
        document.add_unsigned("partition", rows.partition(row))
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def reader(readable: list[int]) -> Answer:
        allowed = library.Query.term_set_query(schema, "partition", readable)

        def answer(text: str, vector: np.ndarray) -> Any:
            words = index.parse_query(" ".join(_words(text)), ["text"])
            both = [(library.Occur.Must, words), (library.Occur.Must, allowed)]
            return searcher.search(library.Query.boolean_query(both), 10).hits

        return answer

    return reader


def bm25s(rows: Rows) -> Reader:
    model: Any = importlib.import_module("bm25s").BM25()
    model.index([tokenize(rows.text(row)) for row in range(rows.size)], show_progress=False)
    owners = _owners(rows)

    def reader(readable: list[int]) -> Answer:
        mask = np.isin(owners, readable).astype(np.float32)

        def answer(text: str, vector: np.ndarray) -> Any:
            return model.retrieve([tokenize(text)], k=10, weight_mask=mask, show_progress=False)

        return answer

    return reader


def _owners(rows: Rows) -> np.ndarray:
    return np.array([rows.partition(row) for row in range(rows.size)])


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\w+", text)))
