"""dynamic8's own way through a model: every row bit for bit as alone, near the model's own modules, in the engine."""

import dataclasses
import time

import pytest
import torch

from inference import loading
from inference.engines.base import collect
from inference.engines.batching import BatchingEngine
from inference.engines.direct import PIECE, DirectRunner, fits
from inference.engines.rows import RowRunner

from .conftest import _save
from .test_batching import QUESTIONS, SMALL, asking, never, together

LENGTHS = (3, 150, 1, 70, 64, 65)


@pytest.fixture(scope="module")
def qwen3_folder(tmp_path_factory):
    """Norms inside the attention."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return _save(Qwen3ForCausalLM, Qwen3Config, tmp_path_factory.mktemp("models") / "tiny-qwen3", head_dim=32)


@pytest.fixture(scope="module", params=["qwen2_folder", "llama_folder", "qwen3_folder"])
def small(request):
    return loading.load(request.getfixturevalue(request.param), quantize="dynamic8", device="cpu")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def prompts() -> list[list[int]]:
    numbers = torch.Generator().manual_seed(3)
    return [torch.randint(5, 300, (length,), generator=numbers).tolist() for length in LENGTHS]


def begun(kind, loaded, rows):
    runner = kind(loaded)
    runner.cache.reserve(rows, 1)
    for _ in range(rows):
        runner.cache.add()
    return runner


@torch.inference_mode()
def alone(kind, loaded, prompt):
    """Logits of the last token of a prompt, then of three more."""
    runner = begun(kind, loaded, 1)
    return torch.cat([runner.run(0, [ids], [1]) for ids in (prompt, [7], [8], [9])])


def test_every_row_is_told_bit_for_bit_what_it_is_told_alone(small):
    single = [alone(DirectRunner, small, prompt) for prompt in prompts()]
    steps = [prompts(), *([[token]] * len(LENGTHS) for token in (7, 8, 9))]
    torch.set_num_threads(2)
    with torch.inference_mode():
        runner = begun(DirectRunner, small, len(LENGTHS))
        found = torch.stack([runner.run(0, ids, [1] * len(LENGTHS)) for ids in steps], 1)
    for row, expected in zip(found, single, strict=True):
        assert torch.equal(row, expected)


@torch.inference_mode()
def test_a_prompt_read_in_pieces_is_read_as_a_whole(small):
    prompt = prompts()[1]
    runner = begun(DirectRunner, small, 1)
    whole = alone(DirectRunner, small, prompt)[0]
    for start in range(0, len(prompt), PIECE):
        found = runner.run(0, [prompt[start : start + PIECE]], [1])
    assert torch.equal(found[0], whole)


def test_logits_are_those_of_the_models_own_modules(small):
    for prompt in prompts():
        ours, theirs = alone(DirectRunner, small, prompt), alone(RowRunner, small, prompt)
        assert torch.nn.functional.cosine_similarity(ours, theirs, dim=1).min() > 0.9999


def test_wanted_logits_come_in_order(small):
    prompt = prompts()[3]
    with torch.inference_mode():
        runner = begun(DirectRunner, small, 2)
        found = runner.run(0, [prompt, prompt[:5]], [len(prompt), 2])
    assert len(found) == len(prompt) + 2
    assert torch.allclose(found[-2:], found[3:5], atol=0.05)


@pytest.mark.parametrize("guessing", [0, 8])
def test_answers_of_a_crowd_are_those_of_each_alone(small, guessing):
    engine = BatchingEngine(small, dataclasses.replace(SMALL, prefill_tokens=PIECE, lookup_rows=guessing))
    try:
        assert type(engine._batch._runner) is DirectRunner
        single = [collect(engine.stream(asking(text), cancelled=never)) for text in QUESTIONS]
        assert together(engine, [asking(text) for text in QUESTIONS]) == single
    finally:
        engine.close()


def test_a_beginning_that_was_read_is_not_read_again(small):
    engine = BatchingEngine(small, dataclasses.replace(SMALL, prefill_tokens=PIECE))
    fed = []
    run = engine._batch._runner.run
    engine._batch._runner.run = lambda first, tokens, want: (
        fed.append(sum(map(len, tokens))) or run(first, tokens, want)
    )
    try:
        cold = collect(engine.stream(asking(QUESTIONS[2], key="k"), cancelled=never))
        read = sum(fed)
        fed.clear()
        assert collect(engine.stream(asking(QUESTIONS[2], key="k"), cancelled=never)) == cold
        assert sum(fed) < read - PIECE
    finally:
        engine.close()


def test_a_cancelled_answer_leaves_its_row(small):
    engine = BatchingEngine(small, SMALL)
    try:
        stream = engine.stream(asking("How long?", tokens=200), cancelled=never)
        next(stream)
        stream.close()
        deadline = time.monotonic() + 60
        while engine.load != (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert engine.load == (0, 0)
    finally:
        engine.close()


def test_layers_of_another_kind_are_left_to_the_model(qwen2_folder):
    assert not fits(loading.load(qwen2_folder, device="cpu").model)
    small = loading.load(qwen2_folder, quantize="dynamic8", device="cpu")
    assert fits(small.model)
    attention = small.model.get_decoder().layers[1].self_attn
    attention.q_proj = torch.nn.Sequential(attention.q_proj)  # as an adapter wraps it
    assert not fits(small.model)
    engine = BatchingEngine(small, SMALL)
    assert type(engine._batch._runner) is RowRunner
    engine.close()
