"""What needs no llama.cpp: saying that it is missing, and how much memory a model would be given."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from inference.engines import llama
from inference.engines.gguf import GgufEngine, plan
from inference.errors import EngineUnavailable, OutOfMemory
from inference.store import read_header

GIB = 2**30


@pytest.fixture
def absent(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(llama, "version", version)
    llama.library.cache_clear()
    yield
    llama.library.cache_clear()


def test_without_the_library_the_error_names_the_command(absent, qwen2_gguf):
    with pytest.raises(EngineUnavailable, match="llama-cpp-python, which is not installed") as caught:
        GgufEngine(qwen2_gguf.parent)
    assert caught.value.hint == "Run: make gguf"
    assert "\ngguf:" in Path("Makefile").read_text()


def test_another_version_of_the_library_is_not_used(monkeypatch, qwen2_gguf):
    monkeypatch.setattr(llama, "version", lambda name: "0.2.0")
    llama.library.cache_clear()
    with pytest.raises(EngineUnavailable, match=r"0\.2\.0 is installed; this version needs 0\.3\.36"):
        GgufEngine(qwen2_gguf.parent)


def test_the_pinned_version_is_the_one_that_is_used():
    pin = f"{llama.PACKAGE}=={llama.VERSION}"
    assert pin in Path("pyproject.toml").read_text()
    assert pin.replace("-", "_") in Path("deploy/requirements-gguf.txt").read_text().replace("-", "_")


def test_memory_is_planned_before_anything_is_loaded(qwen2_gguf):
    small = read_header(qwen2_gguf)
    header = replace(small, context=8192, layers=32, key_value_heads=(8,) * 32, key_length=128, value_length=128)
    assert header.token_bytes == 2**17
    for gib, rows in ((16, 16), (8, 16), (8, 2)):
        planned = plan(header, weight_bytes=4 * GIB, free=gib * GIB, rows=rows)
        assert planned.needed <= gib * GIB
        assert planned.options.cache_bytes == planned.cells * header.token_bytes
        assert planned.context < planned.cells
    assert plan(header, weight_bytes=4 * GIB, free=16 * GIB).context == header.context
    with pytest.raises(OutOfMemory, match="needs about"):
        plan(header, weight_bytes=4 * GIB, free=4 * GIB)
