"""int8 on the processor: near the original, gated, independent of neighbours, loaded within memory."""

import pytest
import torch

from inference import dynamic, loading
from inference.engines.base import collect
from inference.engines.batching import BatchingEngine
from inference.engines.transformers import TransformersEngine
from inference.errors import QuantizationRefused

from .test_batching import QUESTIONS, SMALL, asking, never, together


@pytest.fixture(scope="module", params=["qwen2_folder", "llama_folder"])
def small(request):
    return loading.load(request.getfixturevalue(request.param), quantize="dynamic8", device="cpu")


def test_logits_stay_near_the_unquantized_models(small, qwen2_folder, llama_folder):
    folder = qwen2_folder if small.name == qwen2_folder.name else llama_folder
    plain = loading.load(folder, device="cpu")
    plain.model.float()
    ids = plain.tokenizer("The travel allowance is 45 euros", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        a, b = plain.model(input_ids=ids).logits.flatten(), small.model(input_ids=ids).logits.flatten()
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.99
    assert small.quality.good
    assert small.quality.positions > 50


def test_a_batch_says_what_each_question_alone_is_told(small):
    single = TransformersEngine(small)
    alone = [collect(single.stream(asking(text), cancelled=never)) for text in QUESTIONS]
    engine = BatchingEngine(small, SMALL)
    try:
        assert together(engine, [asking(text) for text in QUESTIONS]) == alone
    finally:
        engine.close()


def test_a_tokens_result_depends_on_that_token_alone():
    torch.manual_seed(1)
    layer = dynamic.DynamicLinear(torch.randn(64, 96), torch.randn(64))
    quiet, loud = torch.randn(1, 96), torch.randn(3, 96) * 1e4
    assert torch.equal(layer(quiet), layer(torch.cat([quiet, loud]))[:1])


def test_one_loud_channel_costs_only_its_token():
    torch.manual_seed(1)
    weight = torch.randn(64, 96)
    layer = dynamic.DynamicLinear(weight, None)
    tokens = torch.randn(8, 96)
    tokens[0, 5] = 1000.0  # as the first token of real models is
    cosine = torch.nn.functional.cosine_similarity(layer(tokens), tokens @ weight.T, dim=1)
    assert cosine.min() > 0.999


def test_a_model_that_suffers_is_refused_with_the_measurement(qwen2_folder, monkeypatch):
    monkeypatch.setattr(dynamic, "MIN_COSINE", 0.99999999)
    with pytest.raises(QuantizationRefused, match="differs too much") as caught:
        loading.load(qwen2_folder, quantize="dynamic8", device="cpu")
    assert "nf4" in caught.value.hint


def test_other_hardware_and_other_kinds_of_model_are_refused(tmp_path, qwen2_folder):
    with pytest.raises(QuantizationRefused, match="processor only"):
        loading.load(qwen2_folder, quantize="dynamic8", device="cuda:0")
    import json
    import shutil

    other = tmp_path / "other"
    shutil.copytree(qwen2_folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "gpt_neox"}))
    with pytest.raises(QuantizationRefused, match="gpt_neox"):
        loading.load(other, quantize="dynamic8", device="cpu")
