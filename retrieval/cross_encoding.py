"""A cross-encoder from a folder on this machine: question and passage read together, one score a pair.

Knows which folders may be loaded and how to score. Does not know indexes, permissions or documents, never opens a
connection, and runs nothing from the folder: weights are safetensors and the code is transformers' own.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from retrieval.errors import RerankerError, RerankerMissing, RerankerUnsafe

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

WINDOW = 512  # word pieces of question and passage together; the rest is cut
WEIGHTS = "model.safetensors"
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


class PairScorer(Protocol):
    """What search needs of a cross-encoder."""

    @property
    def model_id(self) -> str:
        """Name and weights."""

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """One score a passage, higher answers better; between 0 and 1."""


class CrossEncoderReranker:
    """A sequence classifier of one label (Nogueira and Cho 2019, https://arxiv.org/abs/1901.04085).

    Safe to share between threads: one question is scored at a time. Build it with `load`.
    """

    def __init__(self, model: CrossEncoder, model_id: str) -> None:
        self.model_id = model_id
        self._model = model
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path) -> CrossEncoderReranker:
        """Check the folder, then load it. Raises `RerankerMissing`, `RerankerUnsafe` or `RerankerError`."""
        check_folder(folder)
        from sentence_transformers import CrossEncoder
        from torch import nn

        try:
            model = CrossEncoder(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
                activation_fn=nn.Sigmoid(),
            )
            if model.max_seq_length is None or model.max_seq_length > WINDOW:
                model.max_seq_length = WINDOW
            with (folder / WEIGHTS).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except Exception as error:  # whatever is wrong with the files: the libraries raise many kinds
            raise RerankerError(f"the cross-encoder in {folder.name} does not load: {error}") from error
        return cls(model.eval(), f"{folder.name}@{digest[:16]}")

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """One score a passage, between 0 and 1. One batch: equal texts get equal scores."""
        if not passages:
            return []
        pairs = [(question, passage) for passage in passages]
        with self._lock:
            values = self._model.predict(pairs, batch_size=len(pairs), show_progress_bar=False)
        return [round(float(value), 6) for value in values]


def check_folder(folder: Path) -> None:
    """Raise unless the folder is a sequence classifier of one label in safetensors. Reads nothing but config.json."""
    if not folder.is_dir():
        raise RerankerMissing(f"there is no folder {folder}")
    pickles = sorted(
        path.name
        for path in folder.rglob("*")
        if path.suffix.lower() in PICKLES and not path.name.startswith("openvino_")  # raw numbers, no pickle
    )
    if pickles:
        raise RerankerUnsafe(f"{folder.name} holds pickle weights: {', '.join(pickles)}")
    for name in ("config.json", WEIGHTS):
        if not (folder / name).is_file():
            raise RerankerMissing(f"{folder.name} has no {name}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kinds = [str(kind) for kind in config.get("architectures") or []]
        labels = len(config["id2label"]) if "id2label" in config else int(config.get("num_labels", 2))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RerankerError(f"config.json of {folder.name} cannot be read: {error}") from error
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds) or labels != 1:
        raise RerankerError(
            f"{folder.name} is no cross-encoder: {', '.join(kinds) or 'no architecture'}, {labels} labels"
        )
