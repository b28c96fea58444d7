"""Cosines of the sentences a reader puts first, for a sample of held-out questions.

The reader is trained on words and reading; what a paraphrase has in common with its answer the plain encoder knows
better. This makes the numbers from which the two are weighed (``inference.training.finish``).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from inference.engines.base import Passage
from inference.reading.calibration import WEIGHED
from inference.reading.features import Query, candidates, sentence_features
from inference.reading.linear import LinearModel
from inference.reading.reader import fast_bfloat16
from inference.reading.window import load_tokenizer, pack
from inference.training import qa
from inference.training.items import Maker

PER_KIND = 300


class Encoder:
    """Mean-pooled, normalised vectors, as the product's embedder makes them; called with texts, gives rows."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        dtype = torch.bfloat16 if fast_bfloat16() else torch.float32
        self._model = AutoModel.from_pretrained(folder, dtype=dtype).eval()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        batch = self._tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            states = self._model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            pooled = torch.nn.functional.normalize((states.float() * mask).sum(1) / mask.sum(1), dim=1)
        rows: npt.NDArray[np.float32] = pooled.numpy()
        return rows


def embed(folder: Path, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors of all texts, by text."""
    encoder = Encoder(folder)
    order = sorted(set(texts), key=len)
    found: dict[str, npt.NDArray[np.float32]] = {}
    for first in range(0, len(order), 64):
        part = order[first : first + 64]
        found.update(zip(part, encoder(part), strict=True))
    return found


def sample(keys: Sequence[Sequence[Any]], rows: Sequence[int]) -> list[int]:
    """Places in ``rows`` of at most ``PER_KIND`` items of every set, mode and answerability, by seed."""
    kinds: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        key = keys[row]
        kinds[(key[0], key[3], key[5])].append(place)
    chance = random.Random(1)  # noqa: S311 - a reproducible sample, no secret
    return sorted(place for places in kinds.values() for place in chance.sample(places, min(PER_KIND, len(places))))


def _passages(maker: Maker, example: qa.Example, mode: str) -> list[Passage]:
    if mode == "own":
        return maker.gold_passage(example)[0]
    return maker.open_book(example, 8)[0] if mode == "open" else maker.near(example, 6)


def top_cosines(
    data: Path, encoder: Path, keys: Sequence[Sequence[Any]], logits: npt.NDArray[np.float64], budget: int
) -> npt.NDArray[np.float64]:
    """Cosine to its question of the ``WEIGHED`` sentences with the highest logits, shape ``(n, WEIGHED)``; 0 pads.

    ``keys[i]`` names the item whose logits are ``logits[i]``, in the order of its window's sentences.
    """
    tokenizer = load_tokenizer((encoder / "tokenizer.json").read_text("utf-8"))
    linear = LinearModel.packaged()
    asked: list[str] = [""] * len(keys)
    chosen: list[list[str]] = [[] for _ in keys]
    for name in sorted({key[0] for key in keys}):
        examples = [example for example in qa.load(data, name) if example.gold or not example.answerable]
        maker = Maker(examples, tokenizer, linear, budget)
        known = {example.id: example for example in examples}
        for place, key in enumerate(keys):
            if key[0] != name:
                continue
            example = known[key[2]]
            passages = _passages(maker, example, key[3])
            sentences = candidates(passages)
            query = Query.of(example.question)
            features = sentence_features(query, passages, sentences, np.zeros(len(sentences)))
            window = pack(query, passages, sentences, linear.prior(query, features), tokenizer, budget)
            order = np.argsort(-logits[place][: len(window.sentences)], kind="stable")[:WEIGHED]
            asked[place] = example.question
            chosen[place] = [sentences[window.sentences[int(slot)]].text for slot in order]
    vectors = embed(encoder, [*asked, *(text for texts in chosen for text in texts)])
    found = np.zeros((len(keys), WEIGHED))
    for place, texts in enumerate(chosen):
        for column, text in enumerate(texts):
            found[place, column] = float(vectors[text] @ vectors[asked[place]])
    return found
