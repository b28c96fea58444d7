"""Quantized folders: bit for bit what is quantized while loading, and read by their own recipe."""

import json
import shutil

import pytest
import torch

from inference import advice, loading, quantization, quantizing, weights
from inference.errors import ModelCorrupt, QuantizationRefused

IDS = torch.arange(4, 60)[None]
RECIPES = ("nf4", "int8", "dynamic8")


def logits(loaded):
    with torch.inference_mode():
        return loaded.model(input_ids=IDS).logits


@pytest.fixture(scope="module", params=RECIPES)
def stored(request, llama_folder, tmp_path_factory):
    into = tmp_path_factory.mktemp("stored")
    quantizing.quantize(llama_folder, into, request.param)
    return request.param, into


def test_a_stored_model_says_what_one_quantized_while_loading_says(stored, llama_folder):
    recipe, folder = stored
    found = loading.load(folder, device="cpu")
    assert found.quantization == recipe
    assert torch.equal(logits(found), logits(loading.load(llama_folder, quantize=recipe, device="cpu")))


def test_a_tied_head_and_several_weight_files_survive(tmp_path, qwen2_folder, monkeypatch):
    monkeypatch.setattr(weights, "SHARD", 20_000)
    tied = tmp_path / "tied"
    shutil.copytree(qwen2_folder, tied)
    config = json.loads((tied / "config.json").read_text()) | {"tie_word_embeddings": True}
    (tied / "config.json").write_text(json.dumps(config))
    from safetensors.torch import load_file, save_file

    tensors = load_file(tied / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if name != "lm_head.weight"}, tied / "model.safetensors")
    for recipe in RECIPES:
        into = tmp_path / recipe
        into.mkdir()
        quantizing.quantize(tied, into, recipe)
        assert len(list(into.glob("*.safetensors"))) > 1
        index = json.loads((into / "model.safetensors.index.json").read_text())
        assert set(index["weight_map"]) == set(weights.Weights(into))
        assert torch.equal(
            logits(loading.load(into, device="cpu")), logits(loading.load(tied, quantize=recipe, device="cpu"))
        )


@pytest.mark.parametrize("recipe", ["nf4", "int8"])
def test_the_library_reads_the_same_folder(recipe, llama_folder, tmp_path):
    from transformers import AutoModelForCausalLM

    quantizing.quantize(llama_folder, tmp_path, recipe)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16, local_files_only=True)
    with torch.inference_mode():
        assert torch.equal(model(input_ids=IDS).logits, logits(loading.load(tmp_path, device="cpu")))


def test_parameters_are_counted_not_what_they_are_packed_in(stored, llama_folder):
    folder = stored[1]
    assert loading.weight_counts(folder) == loading.weight_counts(llama_folder)
    size = loading.load(folder, device="cpu").bytes
    assert size <= loading.needed_bytes(folder, "none") <= 1.5 * size
    assert advice.advise(*loading.weight_counts(folder), device="cpu", free=2**30).quantization


def test_a_stored_recipe_cannot_become_another(stored, tmp_path):
    recipe, folder = stored
    other = "int8" if recipe == "nf4" else "nf4"
    with pytest.raises(QuantizationRefused, match=f"stored as {recipe}"):
        loading.load(folder, quantize=other, device="cpu")
    with pytest.raises(QuantizationRefused, match="already"):
        quantizing.quantize(folder, tmp_path, "nf4")


def test_a_missing_tensor_is_named(stored, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "damaged"
    shutil.copytree(stored[1], folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelCorrupt, match=r"mlp\.down_proj\.weight"):
        loading.load(folder, device="cpu")


@pytest.mark.parametrize("settings", [{"quant_method": "gptq", "bits": 4}, {"load_in_4bit": True}])
def test_foreign_quantizations_are_refused_with_what_to_do(settings, llama_folder, tmp_path):
    folder = tmp_path / "foreign"
    shutil.copytree(llama_folder, folder)
    config = json.loads((folder / "config.json").read_text()) | {"quantization_config": settings}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(QuantizationRefused, match="does not run here") as caught:
        loading.load(folder, device="cpu")
    assert "unquantized" in caught.value.hint


def test_what_is_no_quantization_and_other_families_are_refused(llama_folder, tmp_path):
    with pytest.raises(QuantizationRefused, match="no quantization"):
        quantizing.quantize(llama_folder, tmp_path, "none")
    with pytest.raises(ValueError, match="must be one of"):
        quantizing.quantize(llama_folder, tmp_path, "q2")
    other = tmp_path / "other"
    shutil.copytree(llama_folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "gpt_neox"}))
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(QuantizationRefused, match="not offered"):
        quantizing.quantize(other, into, "dynamic8")


def test_another_family_is_quantized_by_the_library(tmp_path):
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from .conftest import build_tokenizer

    sizes = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
    folder = tmp_path / "neox"
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = GPTNeoXConfig(vocab_size=len(tokenizer), num_hidden_layers=2, max_position_embeddings=512, **sizes)
    GPTNeoXForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    into = tmp_path / "into"
    into.mkdir()
    quantizing.quantize(folder, into, "int8")
    assert quantization.stored(into) == "int8"
    found = loading.load(into, device="cpu")
    assert logits(found).shape[-1] == len(tokenizer)


def test_progress_is_told_and_may_stop(llama_folder, tmp_path):
    class Enough(Exception):
        pass

    told = []

    def tell(done, total):
        told.append((done, total))
        if done == 3:
            raise Enough

    with pytest.raises(Enough):
        quantizing.quantize(llama_folder, tmp_path, "int8", told=tell)
    assert [done for done, _ in told] == [1, 2, 3]
    assert told[0][1] > 10
