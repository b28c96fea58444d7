"""A store of its own with one tiny model in it, and an engine switch that starts anew."""

import pytest

from assistant import engines
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture


@pytest.fixture
def store(settings, tmp_path, qwen2_folder):  # noqa: F811
    settings.MODELS_DIR = tmp_path / "models"
    store = engines.store()
    store.import_path(qwen2_folder, name="tiny", licence="MIT", imported_by="test")
    return store


@pytest.fixture
def switch(monkeypatch, settings):
    """The engine switch of this process, looking at once and retiring at once."""
    settings.ENGINE, settings.MODEL = "extractive", ""
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(engines, "RETIRE_SECONDS", 0.0)
    engines._switch.reset()
    yield engines._switch
    engines._switch.reset()
