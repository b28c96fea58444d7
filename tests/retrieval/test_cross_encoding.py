"""A cross-encoder from disk: what may be loaded, what is refused with advice, and that its scores are its own."""

from __future__ import annotations

import json
import shutil

import pytest

from retrieval.cross_encoding import CrossEncoderReranker
from retrieval.errors import RerankerError, RerankerMissing, RerankerUnsafe

from .cross_encoder import build

TEXTS = [
    "The committee looked at the travel rules.",
    "The board has ratified the travel rules.",
    "Pumps are serviced every year.",
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "tiny-rater", TEXTS, likes="ratified")


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def test_it_prefers_what_its_model_prefers(good):
    reranker = CrossEncoderReranker.load(good)
    scores = reranker.scores("travel rules", TEXTS)
    assert max(range(3), key=scores.__getitem__) == 1
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert reranker.scores("travel rules", TEXTS) == scores
    assert reranker.model_id.startswith("tiny-rater@")
    assert reranker.scores("travel rules", []) == []


def test_equal_texts_get_equal_scores_and_a_long_one_is_cut(good):
    reranker = CrossEncoderReranker.load(good)
    first, long, again = reranker.scores("travel rules", [TEXTS[0], "pumps " * 3000, TEXTS[0]])
    assert first == again
    assert 0.0 <= long <= 1.0


def test_a_folder_that_is_missing_or_not_whole_is_named(folder):
    with pytest.raises(RerankerMissing, match="there is no folder") as caught:
        CrossEncoderReranker.load(folder / "nowhere")
    assert "model.safetensors" in caught.value.hint
    (folder / "model.safetensors").unlink()
    with pytest.raises(RerankerMissing, match=r"has no model\.safetensors"):
        CrossEncoderReranker.load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "deeper/model.CKPT"])
def test_pickle_weights_are_refused_even_beside_safe_ones(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(RerankerUnsafe, match="pickle") as caught:
        CrossEncoderReranker.load(folder)
    assert "delete" in caught.value.hint


def test_another_kind_of_model_is_refused(tmp_path, folder):
    with pytest.raises(RerankerError, match="3 labels"):
        CrossEncoderReranker.load(build(tmp_path / "three", TEXTS, likes="ratified", labels=3))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    with pytest.raises(RerankerError, match="BertForMaskedLM") as caught:
        CrossEncoderReranker.load(folder)
    assert "cross-encoder of one score" in caught.value.hint


def test_damage_is_an_error_with_advice(folder):
    (folder / "model.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(RerankerError, match="does not load"):
        CrossEncoderReranker.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(RerankerError, match="cannot be read"):
        CrossEncoderReranker.load(folder)


def test_code_in_the_folder_never_runs(folder, tmp_path):
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoModelForSequenceClassification": "modeling_own.Own", "AutoConfig": "modeling_own.Config"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": own}))
    with pytest.raises(RerankerError, match="does not load"):
        CrossEncoderReranker.load(folder)
    assert not (tmp_path / "ran").exists()
