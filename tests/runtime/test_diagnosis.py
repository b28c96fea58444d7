"""What doctor says of models: which engine answers, by whose choice, and the recipe that suits each installed model."""

import pytest

from assistant.models import ActivationState
from assistant.registry import activation
from assistant.runtime.diagnosis import diagnose
from inference import loading, spreading
from inference.engines import llama
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.conftest import store  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


def models() -> dict[str, object]:
    return {finding.id: finding for finding in diagnose()["Models"]}


def test_an_installed_model_gets_the_recipe_that_suits_the_machine(store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(loading, "default_device", lambda: "cpu")
    assert "dynamic8" in models()["models.recipe.tiny"].words
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    found = models()["models.recipe.tiny"]
    assert (found.level, "does not fit" in found.words) == ("warning", True)


@pytest.mark.parametrize(
    ("missing", "level", "hint", "begins"),
    [
        ("", "good", "", "On this processor: for one person at a time a GGUF file"),
        ("absent", "note", llama.HINT, "On this processor: dynamic8, for one person and for many."),
    ],
)
def test_the_guide_by_load_knows_the_processor_and_llama_cpp(monkeypatch, missing, level, hint, begins):
    monkeypatch.setattr(loading, "default_device", lambda: "cpu")
    monkeypatch.setattr(llama, "missing", lambda: missing)
    found = models()["models.load"]
    assert (found.level, found.hint, found.words.startswith(begins)) == (level, hint, True)


def test_on_a_card_the_guide_is_the_unquantized_model(monkeypatch):
    monkeypatch.setattr(loading, "default_device", lambda: "cuda:0")
    found = models()["models.load"]
    assert (found.level, found.hint, "unquantized" in found.words) == ("good", "", True)


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
