"""A model over several devices answers as on one, and is laid out so only when no single card holds it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from inference import loading, spreading
from inference.engines import rows
from inference.engines.base import collect
from inference.engines.batching import BatchingEngine
from inference.engines.running import BatchOptions
from inference.engines.transformers import TransformersEngine
from inference.memory import Peak
from tests.inference.many import asking, never, together

QUESTIONS = [
    "How long?",
    "The travel allowance is 45 euros a day in Germany. " * 6,
    "差旅补贴？",
    "Pumps are serviced every 2,000 hours by a trained technician. " * 3,
]
OPTIONS = BatchOptions(rows=3, prefill_tokens=24, cache_bytes=2**26, prefix_bytes=2**24, lookup_rows=1)
GIB = 2**30


@pytest.mark.parametrize(
    ("needed", "free", "expected"),
    [
        (10, {0: 20}, None),
        (30, {0: 20}, None),  # one card: what does not fit does not
        (10, {0: 5, 1: 20}, None),  # the second holds it alone
        (30, {0: 20, 1: 20}, {0: 17, 1: 17}),
        (35, {0: 20, 1: 20}, None),  # nothing would be left for the answers
        (40, {0: 20, 1: 20, 2: 20}, {0: 17, 1: 17, 2: 17}),
    ],
)
def test_several_cards_are_taken_only_when_none_is_enough(needed, free, expected):
    room = spreading.room(needed * GIB, {number: size * GIB for number, size in free.items()})
    assert (room and {number: size // GIB for number, size in room.items()}) == expected


def test_the_roomiest_card_is_the_first_of_those_with_most():
    assert spreading.roomiest({0: 5, 1: 9, 2: 9}) == "cuda:1"


@pytest.fixture(scope="module")
def model(qwen2_folder):
    loaded = loading.load(qwen2_folder, device="cpu")
    loaded.model.float()
    return loaded


@pytest.fixture(scope="module")
def alone(model):
    engine = TransformersEngine(model)
    return [collect(engine.stream(asking(text), cancelled=never)) for text in QUESTIONS]


def _halves(first: str, second: str, count: int) -> list[str]:
    return [first] * (count // 2) + [second] * (count - count // 2)


def _answers(model) -> list[object]:
    """In a batch, then one of them once more, its prompt read before."""
    engine = BatchingEngine(model, OPTIONS)
    try:
        assert type(engine._batch._runner.cache) is rows.SpreadCache
        keyed = [dataclasses.replace(asking(text), cache_key="k") for text in QUESTIONS]
        return [*together(engine, keyed), collect(engine.stream(keyed[1], cancelled=never))]
    finally:
        engine.close()


def test_keys_and_values_that_lie_apart_give_the_same_answers(model, alone, monkeypatch):
    """Two names of the one processor stand for two cards."""
    monkeypatch.setattr(rows, "layer_devices", lambda found: _halves("cpu", "cpu:0", len(found.get_decoder().layers)))
    assert _answers(model) == [*alone, alone[1]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_layers_on_a_card_and_on_the_processor_give_the_same_answers(qwen2_folder, alone):
    """As the library lays a model over two cards, with the processor in the second one's place."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    loaded = loading.load(qwen2_folder, device="cuda:0")
    body = loaded.model.float().get_decoder()
    places = _halves("cuda:0", "cpu", len(body.layers))
    for module, place in [*zip(body.layers, places, strict=True), (body.norm, "cpu"), (loaded.model.lm_head, "cuda:0")]:
        add_hook_to_module(module.to(place), AlignDevicesHook(execution_device=place))
    assert loaded.spread
    assert _answers(loaded) == [*alone, alone[1]]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_model_that_no_card_holds_is_laid_over_two(qwen2_folder, alone, monkeypatch):
    needed = loading.needed_bytes(qwen2_folder, "none")
    monkeypatch.setattr(spreading, "cards", lambda: {0: int(needed * 0.7), 1: int(needed * 0.7)})
    loaded = loading.load(qwen2_folder)
    assert loaded.spread
    assert {*spreading.layer_devices(loaded.model)} == {"cuda:0", "cuda:1"}
    loaded.model.float()
    assert _answers(loaded) == [*alone, alone[1]]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two cards")
def test_peak_memory_is_that_of_all_cards_together():
    with Peak("cuda:0") as peak:
        for card, mib in ((0, 64), (1, 96)):
            torch.zeros(mib * 2**20, dtype=torch.uint8, device=f"cuda:{card}")
    assert peak.bytes == 160 * 2**20
