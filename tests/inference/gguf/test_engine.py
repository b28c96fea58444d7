"""llama.cpp on the same tiny weights as the other engines: the same logits, the same protocol, many at once."""

import dataclasses
import threading
import time

import pytest
import torch

from inference import loading, nearness
from inference.config import GenerationOptions
from inference.engines import llama
from inference.engines.base import Delta, Engine, Finish, GenerationRequest, Message, collect
from inference.engines.gguf import GgufCodec, GgufEngine
from inference.engines.running import BatchOptions
from inference.errors import EngineUnavailable, ModelCorrupt, OutOfMemory, PromptTooLong, QuantizationRefused
from tests.inference.gguf import build
from tests.inference.many import asking, crowd, never, together
from tests.inference.models.conftest import TEXTS

if why := llama.missing():
    pytest.skip(f"{why} `make test-gguf` installs it and runs these tests.", allow_module_level=True)

MESSAGES = (Message("system", "Answer briefly."), Message("user", "How long? 差旅补贴？"))
QUESTIONS = [
    "How long?",
    "差旅补贴？",
    "The travel allowance is 45 euros a day in Germany. " * 6,
    "Pumps are serviced every 2,000 hours by a trained technician. " * 3,
    "Question: how long? Answer: ten days [1].",
]
TOKEN = 256  # bytes of one token's keys and values in the tiny models
SMALL = BatchOptions(rows=8, prefill_tokens=24, cache_bytes=4096 * TOKEN, prefix_bytes=2**20, lookup_rows=0)


@pytest.fixture
def start(qwen2_gguf):
    """Starts engines and closes them at the end."""
    started = []

    def run(folder=qwen2_gguf.parent, **options):
        started.append(GgufEngine(folder, **{"options": SMALL, **options}))
        return started[-1]

    yield run
    for engine in started:
        engine.close()


@pytest.fixture(scope="module")
def engine(qwen2_gguf):
    engine = GgufEngine(qwen2_gguf.parent, options=SMALL)
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def both(request):
    """The same weights in both formats: (transformers' model in single precision, path of the GGUF file)."""
    loaded = loading.load(request.getfixturevalue(f"{request.param}_folder"), device="cpu")
    loaded.model.float()
    return loaded, request.getfixturevalue(f"{request.param}_gguf")


def test_text_becomes_the_same_tokens(both):
    loaded, path = both
    model = llama.LlamaModel(path)
    try:
        for text in (*TEXTS, *QUESTIONS, "<｜User｜>Hi<｜Assistant｜><think>\n", "  two  spaces\n\n\ttab 🙂 naïve"):
            assert model.encode(text) == loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert loaded.tokenizer.eos_token_id in model.ends
    finally:
        model.close()


def test_logits_are_those_of_transformers(both):
    loaded, path = both
    model = llama.LlamaModel(path)
    runner = llama.LlamaRunner(model, rows=2, cells=512, outputs=128, batch=16, token_bytes=TOKEN)
    try:
        ids = loaded.tokenizer("".join(TEXTS[:3]), add_special_tokens=False)["input_ids"][:60]
        with torch.inference_mode():
            theirs = loaded.model(input_ids=torch.tensor([ids])).logits[0].float()
        runner.cache.add()
        ours = runner.run(0, [ids], [len(ids)])
        assert ours.shape == theirs.shape
        # keys and values lie there in 16 bits
        assert (ours - theirs).abs().max() < 0.01 * theirs.abs().max()
        assert torch.nn.functional.cosine_similarity(ours, theirs, dim=1).min() > 0.9999
        # the last tokens once more, as after a wrong guess
        runner.cache.lengths[0] -= 20
        again = runner.run(0, [ids[-20:]], [20])
        assert (again - theirs[-20:]).abs().max() < 0.01 * theirs.abs().max()
    finally:
        runner.close()


def test_greedy_tokens_are_those_of_transformers(both):
    loaded, path = both
    engine = GgufEngine(path.parent, options=SMALL)
    try:
        prompt = engine.prompt(MESSAGES)
        assert prompt == loaded.tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in MESSAGES], tokenize=False, add_generation_prompt=True
        )
        options = GenerationOptions(max_new_tokens=16, max_thinking_tokens=500)
        request = GenerationRequest("q", (), MESSAGES, options=options)
        told = []
        push = engine._codec.decoder

        def recording(ids):
            decode = push(ids)
            return lambda token: (told.append(token), decode(token))[1]

        engine._codec.decoder = recording
        finish = collect(engine.stream(request, cancelled=lambda: len(told) >= 40))[2]
        seen = told[:40]  # the engine may be a step ahead of who cancelled
        ids = loaded.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        assert finish.prompt_tokens == ids.shape[1]
        assert len(seen) >= 16
        with torch.inference_mode():
            logits = loaded.model(input_ids=torch.cat([ids, torch.tensor([seen])], 1)).logits[0, ids.shape[1] - 1 : -1]
        best = logits.topk(2, dim=1)
        sure = best.values[:, 0] - best.values[:, 1] > 0.01  # between two equal tokens rounding decides
        assert sure.sum() > 10
        assert torch.equal(best.indices[sure, 0], torch.tensor(seen)[sure])
    finally:
        engine.close()


def test_engine_speaks_the_protocol(engine):
    assert isinstance(engine, Engine)
    assert (engine.name, engine.needs_prompt) == ("gguf", True)
    assert engine.model.endswith("(f32)")
    assert engine.context_tokens == 512
    assert engine.count_tokens("The travel allowance") > 2


def test_prompt_is_the_familys_and_drops_earlier_thinking(engine):
    turns = (*MESSAGES, Message("assistant", "<think>secret</think>Ten."), Message("user", "And now?"))
    prompt = engine.prompt(turns)
    assert prompt.startswith("<｜begin▁of▁sentence｜>Answer briefly.<｜User｜>How long?")
    assert prompt.endswith("<｜User｜>And now?<｜Assistant｜><think>\n")
    assert "secret" not in prompt


def test_characters_come_whole_though_tokens_end_inside_them(engine):
    text = "差旅补贴 🙂 naïve 㐂"
    codec = engine._codec
    assert isinstance(codec, GgufCodec)
    decode = codec.decoder([])
    pieces = [decode(token) for token in codec.encode(text)]
    assert "".join(pieces) == text
    assert "" in pieces
    assert not any("�" in piece for piece in pieces)


def test_thinking_is_bounded_and_never_the_answer(engine):
    text, thinking, finish = collect(engine.stream(asking("How long?", tokens=6), cancelled=never))
    assert thinking
    assert 0 < finish.completion_tokens <= 12
    assert "think>" not in thinking
    assert thinking not in text


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(engine):
    text = collect(engine.stream(asking("How long?", tokens=30), cancelled=never))[0]
    stop = text[8:10]
    cut, _, finish = collect(engine.stream(asking("How long?", tokens=30, stop=(stop,)), cancelled=never))
    assert cut == text[: text.index(stop)]
    assert finish.reason == "stop"


def test_cancel_ends_within_one_step(engine):
    items = []
    for item in engine.stream(asking("How long?", tokens=200), cancelled=lambda: len(items) >= 3):
        items.append(item)
    assert items[-1].reason == "cancelled"
    assert items[-1].completion_tokens < 20


def test_deadline_ends_the_answer(engine):
    *_, last = engine.stream(asking("How long?", deadline_s=1e-6), cancelled=never)
    assert last == Finish("deadline", last.prompt_tokens, 0)


def test_long_prompt_is_a_typed_error(engine):
    with pytest.raises(PromptTooLong) as caught:
        collect(engine.stream(asking("ten days " * 600), cancelled=never))
    assert caught.value.tokens > caught.value.limit


@pytest.mark.parametrize(
    "options",
    [SMALL, dataclasses.replace(SMALL, lookup_rows=8), dataclasses.replace(SMALL, rows=2, prefill_tokens=256)],
    ids=["small pieces", "guessing", "two rows"],
)
def test_answers_in_a_batch_are_those_of_a_run_alone(start, options):
    alone = start()
    expected = [collect(alone.stream(asking(text), cancelled=never)) for text in QUESTIONS]
    engine = start(options=options)
    assert together(engine, [asking(text) for text in QUESTIONS]) == expected


def test_requests_join_and_leave_while_others_run(start):
    engine = start()
    expected = [collect(engine.stream(asking(text), cancelled=never)) for text in QUESTIONS]
    long = engine.stream(asking(QUESTIONS[0]), cancelled=never)
    first = [next(long)]
    for at in (1, 4):
        assert collect(engine.stream(asking(QUESTIONS[at]), cancelled=never)) == expected[at]
    assert collect([*first, *long]) == expected[0]


def test_a_sampled_answer_depends_on_its_seed_and_not_on_its_neighbours(engine):
    request = asking("How long?", temperature=0.8, seed=5)
    single = collect(engine.stream(request, cancelled=never))
    crowd = together(engine, [asking(QUESTIONS[2]), request, asking(QUESTIONS[3], temperature=1.0)])
    assert crowd[1] == single
    assert collect(engine.stream(asking("How long?", temperature=0.8, seed=6), cancelled=never)) != single


def test_an_abandoned_answer_leaves_its_row(start):
    engine = start()
    stream = engine.stream(asking("How long?", tokens=200), cancelled=never)
    next(stream)
    assert engine.load[0] == 1
    stream.close()
    deadline = time.monotonic() + 60
    while engine.load[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.load == (0, 0)


def test_admission_is_by_memory_and_nobody_is_lost(start):
    engine = start(options=dataclasses.replace(SMALL, cache_bytes=300 * TOKEN))
    results, most = crowd(engine, asking("Who?", tokens=30), 8)
    assert len(results) == 8
    assert len(set(results)) == 1
    assert 1 <= most <= 3
    with pytest.raises(PromptTooLong):
        collect(engine.stream(asking("ten days " * 200), cancelled=never))


def reads(engine, monkeypatch):
    """How many tokens a request makes the model read."""
    counted = []
    run = engine._batch._runner.run

    def counting(first, tokens, want):
        counted.append(sum(map(len, tokens)))
        return run(first, tokens, want)

    monkeypatch.setattr(engine._batch._runner, "run", counting)

    def cost(request) -> int:
        counted.clear()
        collect(engine.stream(request, cancelled=never))
        return sum(counted)

    return cost


def test_a_prompt_read_before_is_not_read_again_and_only_by_its_own_key(start, monkeypatch):
    engine, base = start(), QUESTIONS[2]
    cost = reads(engine, monkeypatch)
    first = cost(asking(base + "When?", tokens=1, key="a"))
    again = cost(asking(base + "Where?", tokens=1, key="a"))
    assert first > 60
    assert again < first / 2
    assert cost(asking(base + "When?", tokens=1, key="b")) >= first
    assert cost(asking(base + "When?", tokens=1)) >= first
    cold = collect(start().stream(asking(base + "Where?"), cancelled=never))
    assert collect(engine.stream(asking(base + "Where?", key="a"), cancelled=never)) == cold


def test_a_kept_prompt_without_a_place_is_read_again(start, monkeypatch):
    engine, request = start(), asking(QUESTIONS[2], tokens=4, key="a")
    cost = reads(engine, monkeypatch)
    first = cost(request)
    answer = collect(engine.stream(request, cancelled=never))
    cache = engine._batch._runner.cache
    monkeypatch.setattr(cache._lib, "llama_state_seq_set_data", lambda *_: 0)
    assert cost(request) == first
    assert collect(engine.stream(request, cancelled=never)) == answer


def test_what_is_kept_of_prompts_stays_within_its_limit(start):
    engine = start(options=dataclasses.replace(SMALL, prefix_bytes=60_000))
    for at in range(6):
        collect(engine.stream(asking(f"{at} {QUESTIONS[3]}", tokens=1, key=str(at)), cancelled=never))
    assert 0 < engine._batch._prefixes.bytes <= 60_000


def test_a_request_without_memory_fails_alone(start, monkeypatch):
    engine = start()
    runner = engine._batch._runner
    decode, lib, failing = runner._lib.llama_decode, runner._lib, threading.Event()
    monkeypatch.setattr(lib, "llama_decode", lambda *given: 1 if failing.is_set() else decode(*given))
    before = collect(engine.stream(asking("Who?"), cancelled=never))
    failing.set()
    with pytest.raises(OutOfMemory) as caught:
        collect(engine.stream(asking("Who?"), cancelled=never))
    assert caught.value.hint
    failing.clear()
    assert collect(engine.stream(asking("Who?"), cancelled=never)) == before


def test_closing_tells_those_who_wait_and_frees_the_model(start):
    engine = start()
    stream = engine.stream(asking("How long?", tokens=200), cancelled=never)
    assert isinstance(next(stream), Delta)
    codec = engine._codec
    engine.close()
    engine.close()
    with pytest.raises(EngineUnavailable):
        collect(stream)
    with pytest.raises(EngineUnavailable):
        collect(engine.stream(asking("How long?"), cancelled=never))
    with pytest.raises(EngineUnavailable):
        codec.encode("text after the model is gone")


def test_another_template_than_the_imported_one_is_refused(qwen2_gguf):
    with pytest.raises(ModelCorrupt, match="chat template is not the one"):
        GgufEngine(qwen2_gguf.parent, template_sha256="0" * 64)


def test_too_little_memory_is_said_before_loading(qwen2_gguf):
    with pytest.raises(OutOfMemory, match="needs about") as caught:
        GgufEngine(qwen2_gguf.parent, free=2**20)
    assert "smaller model" in caught.value.hint


@pytest.mark.parametrize(
    ("template", "works"),
    [
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", False),
        ("{{ messages.append(1) }}", False),
        ("{% for m in", False),
        ("{{ raise_exception('no') }}", False),
        ("", True),
        (
            "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
            "<｜User｜>{{ m['content'] }}{% endfor %}",
            True,
        ),
    ],
    ids=["reaches for Python", "changes what it is given", "broken", "refuses", "none", "knows no system message"],
)
def test_a_template_is_data_in_a_sandbox(template, works, qwen2_folder, tmp_path, start):
    build.write(qwen2_folder, tmp_path / "model.gguf", template=template)
    engine = start(tmp_path)
    request = GenerationRequest("q", (), MESSAGES, options=GenerationOptions(max_new_tokens=2))
    if works:
        prompt = engine.prompt(MESSAGES)
        assert prompt.index("Answer briefly.") < prompt.index("How long?")
        assert collect(engine.stream(request, cancelled=never))[2].completion_tokens
    else:
        with pytest.raises(EngineUnavailable, match="chat template"):
            collect(engine.stream(request, cancelled=never))


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
def test_files_of_fewer_bits_answer_too(kind, qwen2_folder, tmp_path, start):
    build.write(qwen2_folder, tmp_path / "model.gguf", kind=kind)
    engine = start(tmp_path)
    assert engine.model.endswith(f"({kind.lower()})")
    assert collect(engine.stream(asking("How long?"), cancelled=never))[2].completion_tokens


def test_nearness_to_the_unquantized_model_is_measured(qwen2_folder, llama_folder, tmp_path):
    text = " ".join(TEXTS) * 8
    found = {}
    for kind in ("F32", "Q8_0", "Q4_0"):
        (tmp_path / kind).mkdir()
        build.write(qwen2_folder, tmp_path / kind / "model.gguf", kind=kind)
        found[kind] = nearness.measure_gguf(qwen2_folder, tmp_path / kind, text)
    assert found["F32"].agreement > 0.97
    assert found["F32"].perplexity_after == pytest.approx(found["F32"].perplexity_before, rel=0.01)
    assert found["F32"].agreement >= found["Q8_0"].agreement > found["Q4_0"].agreement
    assert found["F32"].positions > 300
    with pytest.raises(QuantizationRefused, match="different tokens"):
        nearness.measure_gguf(llama_folder, tmp_path / "F32", "In 2024 there were 1234 pumps. " * 20)


def test_what_llama_cpp_refuses_is_a_typed_error(qwen2_gguf, tmp_path):
    content = qwen2_gguf.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_z.weight")
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"llama\.cpp cannot load odd\.gguf") as caught:
        GgufEngine(tmp_path)
    assert caught.value.file == "odd.gguf"
