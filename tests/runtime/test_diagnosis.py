"""What doctor says of models: which engine answers, by whose choice, and the recipe that suits each installed model."""

import os

import psutil
import pytest
import torch

from assistant.models import ActivationState
from assistant.registry import activation, quantizing
from assistant.runtime import diagnosis
from assistant.runtime.diagnosis import diagnose
from inference import loading, spreading
from inference.engines import llama
from inference.store import Limits
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.conftest import store  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


def models() -> dict[str, object]:
    return {finding.id: finding for finding in diagnose()["Models"]}


def test_an_installed_model_gets_the_recipe_that_suits_the_machine(store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(loading, "default_device", lambda: "cpu")
    found = models()["models.recipe.tiny"]
    assert ("dynamic8" in found.words, found.level) == (True, "note")
    assert "manage.py models quantize tiny --recipe dynamic8; then let tiny-dynamic8 answer" in found.hint
    quantizing.quantize(name="tiny", recipe="dynamic8", allowed=Limits(1.0, 0.3))
    found = models()
    assert (found["models.recipe.tiny"].level, found["models.recipe.tiny"].hint) == ("good", "")
    assert "Installed as tiny-dynamic8." in found["models.recipe.tiny"].words
    assert "tiny-dynamic8 is stored as dynamic8 and fits on cpu" in found["models.recipe.tiny-dynamic8"].words
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    found = models()["models.recipe.tiny"]
    assert (found.level, "does not fit" in found.words) == ("warning", True)
    found = models()["models.recipe.tiny-dynamic8"]
    assert (found.level, "stored as dynamic8, does not fit" in found.words) == ("warning", True)
    assert "too little for a model of 1.5 billion parameters" in models()["models.memory"].words


@pytest.mark.parametrize(
    ("engine", "model", "level", "words"),
    [
        ("auto", "", "good", "auto chose extractive, because MODEL names no installed model"),
        ("auto", "tiny", "good", "auto chose transformers, because tiny is in safetensors, unquantized"),
        ("auto", "absent", "error", "absent is not installed: answers are quotations"),
        ("transformers", "tiny", "good", "transformers tiny, in safetensors, unquantized; by the settings"),
        ("extractive", "", "good", "extractive, by the settings: answers are quotations, word for word"),
    ],
)
def test_it_says_why_this_engine_answers(store, settings, engine, model, level, words):  # noqa: F811
    settings.ENGINE, settings.MODEL = engine, model
    found = models()["models.engine"]
    assert (found.level, words in found.words, bool(found.hint)) == (level, True, level == "error"), found.words


@pytest.mark.parametrize(("more", "level"), [(0, "good"), (7, "warning")])
def test_threads_are_held_against_the_cores_that_may_be_used(more, level):
    cores = psutil.cpu_count(logical=False) or 1
    usable, before = min(cores, len(os.sched_getaffinity(0)), diagnosis._quota()), torch.get_num_threads()
    torch.set_num_threads(usable + more)
    try:
        found = diagnosis._threads(cores)
    finally:
        torch.set_num_threads(before)
    assert (found.level, f"OMP_NUM_THREADS={usable} " in found.hint) == (level, bool(more)), found.words


@pytest.mark.parametrize(
    ("missing", "level", "hint", "begins"),
    [
        ("", "good", "", "On this processor: for one person at a time a GGUF file"),
        (
            "absent",
            "note",
            llama.HINT,
            "On this processor: dynamic8 (weights in eight bits), for one",
        ),
    ],
)
def test_the_guide_by_load_knows_the_processor_and_llama_cpp(monkeypatch, missing, level, hint, begins):
    monkeypatch.setattr(loading, "default_device", lambda: "cpu")
    monkeypatch.setattr(llama, "missing", lambda: missing)
    found = models()["models.load"]
    assert (found.level, found.hint, found.words.startswith(begins)) == (level, hint, True)


def test_on_a_card_the_guide_is_the_unquantized_model(monkeypatch):
    monkeypatch.setattr(loading, "default_device", lambda: "cuda:0")
    monkeypatch.setattr(loading, "free_bytes", lambda device: 2**36)
    monkeypatch.setattr(spreading, "cards", lambda: {0: 2**36})
    found = models()["models.load"]
    assert (found.level, found.hint, "unquantized" in found.words) == ("good", "", True)
    assert "Qwen 7B unquantized, Llama 8B unquantized." in models()["models.memory"].words


def test_a_model_for_several_cards_is_told_so(store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(loading, "default_device", lambda: "cuda:0")
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    monkeypatch.setattr(spreading, "cards", lambda: {0: 2**34, 1: 2**34})
    assert "on all cards together" in models()["models.recipe.tiny"].words
    monkeypatch.setattr(loading, "free_bytes", lambda device: 2**34)
    assert "on cuda:0" in models()["models.recipe.tiny"].words


def test_an_activation_wins_over_the_settings_and_its_problem_is_told(store, settings):  # noqa: F811
    settings.ENGINE = "extractive"
    assert "extractive, by the settings" in models()["models.engine"].words
    row = activation.activate("tiny", quantization="none", grounds=activation.Grounds(reason="a test"))
    assert "transformers tiny, chosen by an administrator" in models()["models.engine"].words
    row.state, row.problem = ActivationState.FAILED, "model.safetensors differs"
    row.save()
    found = models()["models.engine"]
    assert (found.level, found.hint) == ("error", "model.safetensors differs")
