"""Many answers at once: the same text as alone, fair, cancellable, within memory."""

import dataclasses
import threading
import time

import pytest

from inference import loading
from inference.engines import batching, prefixes
from inference.engines.base import collect
from inference.engines.batching import BatchingEngine
from inference.engines.local import engine_for
from inference.engines.lookup import Lookup
from inference.engines.running import BatchOptions
from inference.engines.transformers import TransformersEngine
from inference.errors import EngineUnavailable, OutOfMemory, PromptTooLong
from tests.inference.many import asking, crowd, never, together

QUESTIONS = [
    "How long?",
    "差旅补贴？",
    "The travel allowance is 45 euros a day in Germany. " * 6,
    "Pumps are serviced every 2,000 hours by a trained technician. " * 3,
    "Who?",
    "Question: how long? Answer: ten days [1].",
]
SMALL = BatchOptions(rows=8, prefill_tokens=24, cache_bytes=2**26, prefix_bytes=2**24, lookup_rows=0)


def exact(folder):
    """Single precision: the order of additions in a batch must not decide between two equal tokens."""
    loaded = loading.load(folder, device="cpu")
    loaded.model.float()
    return loaded


@pytest.fixture(scope="module", params=["qwen2_folder", "llama_folder"])
def models(request):
    return exact(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def alone(models):
    """What each question is answered without a batch."""
    engine = TransformersEngine(models)
    return [collect(engine.stream(asking(text), cancelled=never)) for text in QUESTIONS]


@pytest.mark.parametrize(
    "options",
    [SMALL, dataclasses.replace(SMALL, lookup_rows=8), dataclasses.replace(SMALL, rows=2, prefill_tokens=256)],
    ids=["small pieces", "guessing", "two rows"],
)
def test_answers_are_those_of_a_run_alone(models, alone, options):
    engine = BatchingEngine(models, options)
    try:
        assert together(engine, [asking(text) for text in QUESTIONS]) == alone
    finally:
        engine.close()


def test_requests_join_and_leave_while_others_run(models, alone):
    engine = BatchingEngine(models, SMALL)
    try:
        long = engine.stream(asking(QUESTIONS[0]), cancelled=never)
        first = [next(long)]
        for at in (1, 4):
            assert collect(engine.stream(asking(QUESTIONS[at]), cancelled=never)) == alone[at]
        assert collect([*first, *long]) == alone[0]
    finally:
        engine.close()


def test_a_sampled_answer_depends_on_its_seed_and_not_on_its_neighbours(models):
    engine = BatchingEngine(models, SMALL)
    try:
        request = asking("How long?", temperature=0.8, seed=5)
        single = collect(engine.stream(request, cancelled=never))
        crowd = together(engine, [asking(QUESTIONS[2]), request, asking(QUESTIONS[3], temperature=1.0)])
        assert crowd[1] == single
    finally:
        engine.close()


def test_a_cancelled_answer_leaves_its_row(models):
    engine = BatchingEngine(models, SMALL)
    try:
        stream = engine.stream(asking("How long?", tokens=200), cancelled=never)
        next(stream)
        assert engine.load[0] == 1
        stream.close()
        deadline = time.monotonic() + 60
        while engine.load[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert engine.load == (0, 0)
    finally:
        engine.close()


def test_callers_take_turns_when_rows_are_few(models):
    engine = BatchingEngine(models, dataclasses.replace(SMALL, rows=1))
    order = []

    def run(caller):
        collect(engine.stream(asking("How long?", tokens=8, caller=caller), cancelled=never))
        order.append(caller)

    try:
        occupied = engine.stream(asking("x", tokens=150, caller="greedy"), cancelled=never)
        next(occupied)
        threads = []
        for caller in ("greedy", "greedy", "greedy", "modest"):
            threads.append(threading.Thread(target=run, args=(caller,)))
            threads[-1].start()
            while engine.load[1] < len(threads) and engine.load[0]:
                time.sleep(0.005)
        waiting = engine.load[1]
        for thread in threads:
            thread.join()
        assert len(order) == 4
        assert waiting < 4 or "modest" in order[:2]
    finally:
        engine.close()


def test_admission_is_by_memory(models):
    token = 2 * 2 * 2 * 16 * 4  # keys and values, layers, key heads, size, bytes
    engine = BatchingEngine(models, dataclasses.replace(SMALL, cache_bytes=300 * token))
    try:
        results, most = crowd(engine, asking("Who?", tokens=30), 6)
        assert len(set(results)) == 1
        assert 1 <= most <= 3
        with pytest.raises(OutOfMemory, match="does not fit into the cache"):
            collect(engine.stream(asking("Who?", tokens=200), cancelled=never))
        with pytest.raises(PromptTooLong):
            collect(engine.stream(asking("ten days " * 600), cancelled=never))
    finally:
        engine.close()


def test_a_prompt_read_before_is_not_read_again_and_only_by_its_own_key(models, monkeypatch):
    engine = BatchingEngine(models, SMALL)
    read = []
    run = engine._batch._runner.run

    def counting(first, tokens, want):
        read.append(sum(map(len, tokens)))
        return run(first, tokens, want)

    monkeypatch.setattr(engine._batch._runner, "run", counting)

    def cost(request) -> int:
        read.clear()
        collect(engine.stream(request, cancelled=never))
        return sum(read)

    try:
        base = QUESTIONS[2]
        first = cost(asking(base + "When?", tokens=1, key="a"))
        again = cost(asking(base + "Where?", tokens=1, key="a"))
        assert first > 60
        assert again < first / 2
        assert cost(asking(base + "When?", tokens=1, key="b")) >= first
        assert cost(asking(base + "When?", tokens=1)) >= first
        plain = TransformersEngine(models)
        warm = collect(engine.stream(asking(base + "Where?", key="a"), cancelled=never))
        assert warm == collect(plain.stream(asking(base + "Where?"), cancelled=never))
    finally:
        engine.close()


def test_what_is_kept_of_prompts_stays_within_its_limit(models):
    engine = BatchingEngine(models, dataclasses.replace(SMALL, prefix_bytes=60_000))
    try:
        for at in range(6):
            collect(engine.stream(asking(f"{at} {QUESTIONS[3]}", tokens=1, key=str(at)), cancelled=never))
        assert 0 < engine._batch._prefixes.bytes <= 60_000
    finally:
        engine.close()


def test_closing_tells_those_who_wait(models):
    engine = BatchingEngine(models, SMALL)
    stream = engine.stream(asking("How long?", tokens=200), cancelled=never)
    next(stream)
    engine.close()
    with pytest.raises(EngineUnavailable):
        collect(stream)


def test_guesses_follow_what_stood_before_and_shorten_when_wrong():
    lookup = Lookup([1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3])
    assert lookup.guess(3) == [4, 5, 6]
    lookup.told(guessed=10, right=0)
    assert lookup.guess(10) == [4, 5]
    lookup.extend([4, 99])
    assert lookup.guess(10) == []


def test_models_of_other_kinds_run_one_at_a_time(tmp_path, qwen2_folder):
    loaded = exact(qwen2_folder)
    engine = engine_for(loaded, SMALL)
    assert isinstance(engine, BatchingEngine)
    engine.close()
    loaded.model.config.layer_types = ["full_attention", "sliding_attention"]
    assert isinstance(engine_for(loaded), TransformersEngine)


def test_kept_prompts_are_let_go_when_told_and_those_under_way_are_not_kept(models, monkeypatch):
    engine = BatchingEngine(models, SMALL)
    try:
        request = dataclasses.replace(asking(QUESTIONS[2]), cache_key="k")
        collect(engine.stream(request, cancelled=never))
        assert engine._batch._prefixes.bytes
        long = engine.stream(dataclasses.replace(request, options=asking("x", tokens=150).options), cancelled=never)
        next(long)
        engine.forget()
        collect(long)
        soon = time.monotonic() + 60
        while engine.load[0] and time.monotonic() < soon:
            time.sleep(0.01)
        assert not engine._batch._prefixes.bytes
        collect(engine.stream(request, cancelled=never))
        assert engine._batch._prefixes.bytes  # what comes after is kept again
    finally:
        engine.close()


def test_an_idle_engine_lets_kept_prompts_go_when_their_time_is_over(models, monkeypatch):
    monkeypatch.setattr(batching, "_IDLE_SECONDS", 0.05)
    monkeypatch.setattr(prefixes, "SECONDS", 0.5)
    engine = BatchingEngine(models, SMALL)
    try:
        collect(engine.stream(dataclasses.replace(asking(QUESTIONS[2]), cache_key="k"), cancelled=never))
        until = time.monotonic() + 60
        while engine._batch._prefixes._entries and time.monotonic() < until:
            time.sleep(0.02)
        assert not engine._batch._prefixes._entries
    finally:
        engine.close()
