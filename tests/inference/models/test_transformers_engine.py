"""Real Qwen2 and Llama architectures, tiny and random: loading, quantizing, streaming, cancelling."""

import threading

import pytest
import torch
from transformers import AutoModelForCausalLM

from inference import loading, quantization
from inference.config import GenerationOptions
from inference.engines.base import Engine, Finish, GenerationRequest, Message, collect
from inference.engines.batching import BatchingEngine
from inference.engines.transformers import TransformersEngine
from inference.errors import EngineUnavailable, ModelCorrupt, ModelNotFound, OutOfMemory, PromptTooLong

MESSAGES = (Message("system", "Answer briefly."), Message("user", "How long? 差旅补贴？"))


def request(**options) -> GenerationRequest:
    return GenerationRequest("How long?", (), MESSAGES, options=GenerationOptions(**options))


def never() -> bool:
    return False


@pytest.fixture(scope="module", params=[TransformersEngine, BatchingEngine])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def qwen2(qwen2_folder, kind):
    engine = kind(loading.load(qwen2_folder, device="cpu"))
    yield engine
    engine.close()


def test_engine_speaks_the_protocol(qwen2):
    assert isinstance(qwen2, Engine)
    assert qwen2.needs_prompt
    assert qwen2.model == "tiny-qwen2 (none)"


def test_prompt_is_the_familys_and_drops_earlier_thinking(qwen2):
    turns = (*MESSAGES, Message("assistant", "<think>secret</think>Ten."), Message("user", "And now?"))
    prompt = qwen2.prompt(turns)
    assert prompt.startswith("<｜begin▁of▁sentence｜>Answer briefly.<｜User｜>How long?")
    assert prompt.endswith("<｜User｜>And now?<｜Assistant｜><think>\n")
    assert "secret" not in prompt


@pytest.mark.parametrize("folder", ["qwen2_folder", "llama_folder"])
def test_greedy_stream_equals_generate(folder, request, kind):
    loaded = loading.load(request.getfixturevalue(folder), device="cpu")
    engine = kind(loaded)
    text, thinking, finish = collect(
        engine.stream(
            GenerationRequest("q", (), MESSAGES, options=GenerationOptions(max_new_tokens=12, max_thinking_tokens=500)),
            cancelled=never,
        )
    )
    ids = loaded.tokenizer(engine.prompt(MESSAGES), add_special_tokens=False, return_tensors="pt")
    out = loaded.model.generate(**ids, max_new_tokens=finish.completion_tokens, do_sample=False)
    expected = loaded.tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert finish.prompt_tokens == ids["input_ids"].shape[1]
    assert thinking + text
    # a random model stops anywhere, also inside a character: compare what is whole
    assert expected.replace("</think>", "").startswith((thinking + text).rstrip("�")[:20])


def test_same_seed_same_answer(qwen2):
    options = {"temperature": 0.9, "seed": 3, "max_new_tokens": 10, "max_thinking_tokens": 10}
    first = collect(qwen2.stream(request(**options), cancelled=never))
    assert first == collect(qwen2.stream(request(**options), cancelled=never))


def test_thinking_is_bounded_and_never_the_answer(qwen2):
    text, thinking, finish = collect(qwen2.stream(request(max_thinking_tokens=5, max_new_tokens=8), cancelled=never))
    assert thinking
    assert finish.completion_tokens <= 5 + 8
    assert "think>" not in text


def test_cancel_ends_within_one_step(qwen2):
    seen = 0

    def cancelled() -> bool:
        return seen >= 3

    items = []
    for item in qwen2.stream(request(max_new_tokens=200, max_thinking_tokens=200), cancelled=cancelled):
        items.append(item)
        seen += 1
    assert items[-1].reason == "cancelled"
    assert items[-1].completion_tokens < 20


def test_deadline_ends_the_answer(qwen2):
    *_, last = qwen2.stream(request(deadline_s=1e-6), cancelled=never)
    assert last == Finish("deadline", last.prompt_tokens, 0)


def test_abandoned_stream_frees_the_engine(qwen2):
    stream = qwen2.stream(request(max_new_tokens=50), cancelled=never)
    next(stream)
    stream.close()
    assert collect(qwen2.stream(request(max_new_tokens=2), cancelled=never))[2].completion_tokens


def test_several_threads_take_turns(qwen2):
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(collect(qwen2.stream(request(max_new_tokens=5), cancelled=never)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1


def test_long_prompt_is_a_typed_error(qwen2):
    long = GenerationRequest("q", (), (Message("user", "ten days " * 600),))
    with pytest.raises(PromptTooLong) as caught:
        collect(qwen2.stream(long, cancelled=never))
    assert caught.value.tokens > caught.value.limit


def test_closed_engine_says_so(qwen2_folder, kind):
    engine = kind(loading.load(qwen2_folder, device="cpu"))
    engine.close()
    engine.close()
    with pytest.raises(EngineUnavailable):
        collect(engine.stream(request(), cancelled=never))


@pytest.mark.parametrize("recipe", ["nf4", "int8"])
def test_quantized_model_is_smaller_and_answers_alike(qwen2_folder, recipe):
    plain = loading.load(qwen2_folder, device="cpu")
    small = loading.load(qwen2_folder, quantize=recipe, device="cpu")
    assert small.bytes < plain.bytes
    ids = plain.tokenizer("The travel allowance is", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        a = plain.model(input_ids=ids).logits.float().flatten()
        b = small.model(input_ids=ids).logits.float().flatten()
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.95
    _, _, finish = collect(TransformersEngine(small).stream(request(max_new_tokens=4), cancelled=never))
    assert finish.completion_tokens


@pytest.mark.parametrize("folder", ["qwen2_folder", "llama_folder"])
@pytest.mark.parametrize("recipe", ["nf4", "int8"])
def test_reading_weight_by_weight_gives_the_librarys_model(folder, recipe, request):
    path = request.getfixturevalue(folder)
    ours = loading.load(path, quantize=recipe, device="cpu").model
    theirs = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.bfloat16, quantization_config=quantization.configuration(recipe), device_map={"": "cpu"}
    )
    ids = torch.arange(40, 60)[None]
    with torch.inference_mode():
        assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert ours.generation_config.eos_token_id == theirs.generation_config.eos_token_id


@pytest.mark.parametrize("recipe", ["none", "nf4"])
def test_where_bfloat16_is_only_imitated_models_compute_in_float16(qwen2_folder, recipe, monkeypatch):
    """As on cards before Ampere; the processor computes in both."""
    usual = loading.load(qwen2_folder, quantize=recipe, device="cpu")
    monkeypatch.setattr(quantization, "sixteen_bits", lambda device: torch.float16)
    loaded = loading.load(qwen2_folder, quantize=recipe, device="cpu")
    assert loaded.model.get_decoder().norm.weight.dtype == torch.float16
    ids = torch.arange(40, 60)[None]
    with torch.inference_mode():
        a, b = (found.model(input_ids=ids).logits.float().flatten() for found in (usual, loaded))
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.99
    _, _, finish = collect(BatchingEngine(loaded).stream(request(max_new_tokens=4), cancelled=never))
    assert finish.completion_tokens


def test_the_kind_of_number_is_the_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert quantization.sixteen_bits("cuda:0") == torch.float16
    assert quantization.sixteen_bits("cpu") == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert quantization.sixteen_bits("cuda:0") == torch.bfloat16


def test_too_little_memory_is_said_before_loading(qwen2_folder, monkeypatch):
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    with pytest.raises(OutOfMemory, match="needs about") as caught:
        loading.load(qwen2_folder, device="cpu")
    assert "nf4" in caught.value.hint


def test_missing_and_broken_folders_are_typed_errors(tmp_path, qwen2_folder):
    with pytest.raises(ModelNotFound):
        loading.load(tmp_path, device="cpu")
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(qwen2_folder, broken)
    (broken / "tokenizer.json").write_text("{not json")
    with pytest.raises(ModelCorrupt):
        loading.load(broken, device="cpu")


def test_expected_memory_follows_the_recipe(qwen2_folder):
    total, embedding = loading.weight_counts(qwen2_folder)
    assert 0 < embedding < total
    sizes = {name: quantization.expected_bytes(total, embedding, name) for name in ("none", "int8", "nf4")}
    assert sizes["none"] > sizes["int8"] > sizes["nf4"]
    assert sizes["none"] == total * 2
    with pytest.raises(ValueError, match="quantization must be one of"):
        quantization.configuration("q2")
