"""The kernels of a decode step against the model's own code, run by Triton's interpreter: no GPU needed."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from inference.engines import fused
from inference.engines.rows import RowRunner
from inference.loading import LoadedModel

LENGTHS = (7, 130)  # the last is read by three programs per key head
SIZES = {
    "vocab_size": 83,  # no multiple of any tile
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}


class Adapted(torch.nn.Linear):
    """A layer with more to it than its weight."""


def build(model_class, config_class, **sizes):
    torch.manual_seed(0)
    model = model_class(config_class(**{**SIZES, **sizes})).float().eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms and biases that do something
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    return model


@pytest.mark.parametrize(
    ("model_class", "config_class", "wide"), [(Qwen2ForCausalLM, Qwen2Config, 4), (LlamaForCausalLM, LlamaConfig, 1)]
)
def test_a_step_of_the_kernels_is_a_step_of_the_model(model_class, config_class, wide):
    pytest.importorskip("triton")
    model = build(model_class, config_class)
    assert fused.fits(model)
    numbers = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        runner = RowRunner(LoadedModel(model, None, "tiny", "none", "cpu", 256))
        runner.cache.reserve(len(LENGTHS) + 1, 256)
        for row, length in enumerate(LENGTHS):
            runner.cache.add()
            runner.run(row, [torch.randint(0, 80, (length,), generator=numbers).tolist()], [1])
        before = runner.cache.kv.clone()
        ids = torch.randint(0, 80, (len(LENGTHS), wide), generator=numbers)
        positions = torch.tensor(LENGTHS)[:, None] + torch.arange(wide)
        index = torch.arange(len(LENGTHS))[:, None]
        expected = runner._head(runner.hidden(0, ids, positions, index, 256))
        cache = runner.cache.kv.clone()
        step = fused.FusedStep(model, runner.cache, 256)
        for _ in range(2):  # again: what programs count in between is left as it was found
            runner.cache.kv.copy_(before)
            torch.testing.assert_close(step(ids, positions, index, 256), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(runner.cache.kv, cache, rtol=1e-4, atol=1e-5)


def test_a_model_that_the_kernels_do_not_compute_is_left_alone():
    pytest.importorskip("triton")
    assert not fused.fits(build(Qwen3ForCausalLM, Qwen3Config))  # it norms queries and keys
    assert not fused.fits(build(Qwen2ForCausalLM, Qwen2Config, hidden_act="gelu"))
    adapted = build(Qwen2ForCausalLM, Qwen2Config)
    adapted.model.layers[1].self_attn.q_proj = Adapted(48, 64)
    assert not fused.fits(adapted)
    mixed = build(Qwen2ForCausalLM, Qwen2Config)
    mixed.model.layers[1].mlp.up_proj.half()
    assert not fused.fits(mixed)
