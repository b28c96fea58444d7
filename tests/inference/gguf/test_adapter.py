"""A LoRA adapter on a GGUF model: what it says is what the merged weights say."""

import json
import shutil

import pytest
import torch

from inference.config import GenerationOptions
from inference.engines import llama
from inference.engines.base import GenerationRequest, Message, collect
from inference.engines.gguf import GgufEngine
from inference.engines.running import BatchOptions
from inference.errors import ModelCorrupt, ModelNotFound
from tests.inference.gguf import build
from tests.inference.many import never

SMALL = BatchOptions(rows=2, prefill_tokens=24, cache_bytes=2**20, prefix_bytes=2**18, lookup_rows=0)
RANK, ALPHA = 4, 8.0
QUESTIONS = ("How long?", "差旅补贴？", "Pumps are serviced every 2,000 hours.")


@pytest.fixture(scope="module")
def lora(qwen2_folder):
    """Module of the model -> (A (rank, in), B (out, rank)), large enough to change what is said."""
    from safetensors.torch import load_file

    draw = torch.Generator().manual_seed(3)
    found = {}
    for name, weight in load_file(qwen2_folder / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "down_proj.weight", "up_proj.weight")):
            out, into = weight.shape
            pair = torch.randn(RANK, into, generator=draw), torch.randn(out, RANK, generator=draw)
            found[name.removesuffix(".weight")] = (pair[0] * 0.2, pair[1] * 0.2)
    return found


@pytest.fixture(scope="module")
def adapter(lora, tmp_path_factory):
    return build.write_adapter(tmp_path_factory.mktemp("lora") / "tiny-lora.gguf", lora, layers=2, alpha=ALPHA)


@pytest.fixture(scope="module")
def merged(lora, qwen2_folder, tmp_path_factory):
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("merged")
    shutil.copytree(qwen2_folder, folder, dirs_exist_ok=True)
    weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    for name, (a, b) in lora.items():
        weights[f"{name}.weight"] += ALPHA / RANK * (b @ a)
    save_file(weights, folder / "model.safetensors")
    return build.write(folder, tmp_path_factory.mktemp("gguf") / "merged.gguf")


def said(folder, **options) -> list[str]:
    engine = GgufEngine(folder, options=SMALL, **options)
    try:
        limits = GenerationOptions(max_new_tokens=24, max_thinking_tokens=0)
        asked = [GenerationRequest(text, (), (Message("user", text),), options=limits) for text in QUESTIONS]
        return [collect(engine.stream(request, cancelled=never))[0] for request in asked]
    finally:
        engine.close()


@pytest.mark.skipif(bool(llama.missing()), reason="llama.cpp is not installed: make test-gguf")
def test_an_adapter_says_what_the_merged_model_says(qwen2_gguf, merged, adapter):
    alone, adapted = said(qwen2_gguf.parent), said(qwen2_gguf.parent, adapter=adapter)
    assert adapted == said(merged.parent)
    assert adapted != alone
    assert said(qwen2_gguf.parent) == alone  # nothing of it stays in the model's file


Q = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        (
            {Q: (torch.ones(RANK, 32), torch.ones(64, RANK))},
            "for blk.0.attn_q.weight it has 64 × 32 numbers",
        ),
        ({Q: (torch.ones(RANK, 64), torch.ones(64, RANK + 1))}, "are of the ranks 5 and 4"),
        ({"model.layers.9.self_attn.q_proj": (torch.ones(RANK, 64), torch.ones(64, RANK))}, "model does not have"),
    ],
)
def test_an_adapter_of_another_model_is_refused_by_name(qwen2_gguf, tmp_path, lora, words):
    file = build.write_adapter(tmp_path / "other.gguf", lora, layers=10, alpha=ALPHA)
    with pytest.raises(ModelCorrupt, match=rf"other\.gguf does not go on top of this model: .*{words}"):
        GgufEngine(qwen2_gguf.parent, options=SMALL, adapter=file)


def test_what_is_no_adapter_for_the_model_is_refused_before_anything_is_loaded(qwen2_gguf, llama_gguf, lora, tmp_path):
    peft = tmp_path / "peft"
    peft.mkdir()
    (peft / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    other = build.write_adapter(tmp_path / "llama.gguf", lora, layers=2, alpha=ALPHA, architecture="llama")
    for path, error, words in (
        (peft, ModelCorrupt, "takes adapters as GGUF"),
        (tmp_path / "none.gguf", ModelNotFound, "no adapter at"),
        (llama_gguf, ModelCorrupt, "holds no LoRA adapter but 'a?"),
        (other, ModelCorrupt, "belongs to a model of the kind llama, not qwen2"),
    ):
        with pytest.raises(error, match=words) as caught:
            GgufEngine(qwen2_gguf.parent, options=SMALL, adapter=path)
        assert caught.value.hint
