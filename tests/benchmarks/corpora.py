"""Texts and vectors for the benchmarks of search: real passages of archives, points around real vectors.

Knows: archives and folders of Markdown, cut by the product's own reader and chunker. Does not know: what is measured.
Real passages are fewer than a million, so further ones are made of halves of two real ones of a like alphabet, and
further vectors by adding noise to a real one; seeds make both the same in every run.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retrieval.chunking import chunk_document, passage_text
from retrieval.embedding import MiniLMEmbedder
from retrieval.errors import RetrievalError
from retrieval.parsing import markdown
from retrieval.parsing.base import Context, Source
from retrieval.parsing.limits import Limits
from retrieval.parsing.registry import MARKDOWN

_SUFFIXES = (".md", ".markdown")
_COPRIME = 7919


class Corpus:
    """Passages of a text collection and the vectors of some of them; any number of both can be drawn."""

    def __init__(self, texts: list[str], centres: np.ndarray, seed: int) -> None:
        self.texts = texts
        self._centres = centres
        self._seed = seed

    def text(self, row: int) -> str:
        """The passage of a row: a real one, and once those are used up, halves of two."""
        count = len(self.texts)
        first = self.texts[row % count]
        if row < count:
            return first
        second = self.texts[(row % count + 1 + (row // count) * _COPRIME) % count]
        return first[: len(first) // 2] + " " + second[len(second) // 2 :]

    def vectors(self, start: int, end: int, spread: float = 0.6) -> np.ndarray:
        """Unit float32 vectors of rows `start` to `end`: real vectors moved by noise of `spread` times their length."""
        noise = np.random.default_rng((self._seed, start))
        owners = noise.integers(0, len(self._centres), end - start)
        steps = noise.standard_normal((end - start, self._centres.shape[1]), dtype=np.float32)
        return unit(self._centres[owners] + spread * unit(steps))


def load(paths: list[Path], *, centres: int, dimension: int, seed: int) -> Corpus:
    """The passages under `paths` (archives, folders); without any, words drawn from Zipf's law and random vectors."""
    random = np.random.default_rng(seed)
    if not paths:
        weights = 1.0 / np.arange(1, 50_001) ** 1.05
        draws = random.choice(50_000, size=(5_000, 120), p=weights / weights.sum())
        texts = [" ".join(f"word{number}" for number in row) for row in draws]
        return Corpus(texts, unit(random.standard_normal((centres, dimension)).astype(np.float32)), seed)
    embedder = MiniLMEmbedder.load()
    texts = [text for path in paths for text in _passages(path, embedder)]
    random.shuffle(texts)
    return Corpus(texts, embedder.embed(texts[:centres]), seed)


def unit(values: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), dtype=np.float32)


def _passages(path: Path, embedder: MiniLMEmbedder) -> Iterator[str]:
    for name, data in files(path):
        try:
            document = markdown.parse(Source(data, name, MARKDOWN), Context(Limits()))
        except RetrievalError:  # a page without text
            continue
        for chunk in chunk_document(document, count_tokens=embedder.count_tokens):
            yield passage_text(document.title, chunk.headings, chunk.text)


def files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix in _SUFFIXES:
                yield file.name, file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and member.name.endswith(_SUFFIXES) else None
            if content is not None:
                yield Path(member.name).name, content.read()
