import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.engines.base import Passage
from inference.errors import ModelCorrupt, ModelNotFound
from inference.reading.calibration import INPUTS, Calibration
from inference.reading.features import Query, answer_features, candidates, sentence_features
from inference.reading.linear import LinearModel
from inference.reading.reader import Reader, dequantize, quantize
from inference.reading.splitting import split


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("reader.safetensors", "reader.json"):
        shutil.copy(str(files("inference.reading").joinpath(name)), tmp_path / name)
    return tmp_path


def test_an_altered_weight_file_is_refused_by_name(package, encoder_path):
    path = package / "reader.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelCorrupt) as caught:
        Reader.load(encoder_path, package=package)
    assert caught.value.file == "reader.safetensors"


def test_another_encoder_is_refused(package, encoder_path, tmp_path):
    other = tmp_path / "encoder"
    other.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(encoder_path / name, other / name)
    with pytest.raises(ModelNotFound):
        Reader.load(other, package=package)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, other / "model.safetensors")
    with pytest.raises(ModelCorrupt) as caught:
        Reader.load(other, package=package)
    assert caught.value.file == "model.safetensors"


def test_openvino_and_torch_read_alike(encoder_path):
    text = "Holiday is booked in the portal. Up to five additional days can be bought each year. Ask your manager."
    passages = [Passage("1", text, "Leave", sentences=split(text)), Passage("2", text[:32], sentences=((0, 32),))]
    query, sentences = Query.of("How many days of holiday can I buy?"), candidates(passages)
    features = sentence_features(query, passages, sentences, np.zeros(len(sentences)))
    prior = LinearModel.packaged().prior(query, features)
    facts = answer_features(query, passages, sentences, features, prior)
    quick, plain = (Reader.load(encoder_path, dtype=dtype) for dtype in (None, torch.float32))
    found, expected = (reader.read(query, passages, sentences, features, prior, facts) for reader in (quick, plain))
    assert np.allclose(found.sentences, expected.sentences, atol=0.05)
    assert abs(found.answer - expected.answer) < 0.05
    assert abs(found.margin - expected.margin) < 0.05


def test_a_record_that_does_not_fit_is_refused(package):
    known = json.loads((package / "reader.json").read_text("utf-8"))["calibration"]
    Calibration.parse(known)
    with pytest.raises(ModelCorrupt):
        Calibration.parse({**known, "mean": [0.0]})
    with pytest.raises(ModelCorrupt):
        Calibration.parse({})


def test_a_surer_reader_gives_a_higher_probability():
    known = json.loads(files("inference.reading").joinpath("reader.json").read_text("utf-8"))
    calibration = Calibration.parse(known["calibration"])
    usual = calibration.mean.copy()
    low, high = usual.copy(), usual.copy()
    place = INPUTS.index("answer")
    low[place], high[place] = -4.0, 4.0
    assert calibration.probability(low) < calibration.probability(usual) < calibration.probability(high)


def test_eight_bits_keep_the_weights_to_half_a_step():
    torch.manual_seed(0)
    weights = {"matrix": torch.randn(8, 32), "vector": torch.randn(5)}
    back = dequantize(quantize(weights))
    step = weights["matrix"].abs().amax(1, keepdim=True) / 127
    assert bool(((back["matrix"] - weights["matrix"]).abs() <= 0.6 * step).all())
    assert np.allclose(back["vector"], weights["vector"], atol=2e-3)
