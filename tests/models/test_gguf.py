"""GGUF models in the product: imported, activated, explained by doctor, answering where llama.cpp is installed."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assistant import engines
from assistant.errors import Invalid
from assistant.models import ActivationState
from assistant.registry import activation
from assistant.runtime.diagnosis import diagnose
from inference.config import GenerationOptions
from inference.engines import llama
from inference.engines.base import GenerationRequest, Message, collect
from tests.inference.gguf import build

installed = pytest.mark.skipif(
    bool(llama.missing()), reason=f"{llama.missing()} `make test-gguf` installs it and runs these tests."
)
WHY = activation.Grounds(reason="a test")
REQUEST = GenerationRequest(
    "q", (), (Message("user", "How long?"),), options=GenerationOptions(max_new_tokens=8, max_thinking_tokens=8)
)


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory, qwen2_folder):
    return build.write(qwen2_folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf", kind="Q8_0")


@pytest.fixture
def imported(store, gguf_file):
    models("import", str(gguf_file), "--name", "small", "--licence", "MIT")
    return store


@pytest.fixture
def absent(monkeypatch):
    """As on a machine without the optional library."""
    monkeypatch.setattr(llama, "missing", lambda: "GGUF models need llama-cpp-python, which is not installed.")
    llama.library.cache_clear()
    yield
    llama.library.cache_clear()


def models(*arguments: str) -> str:
    out = StringIO()
    call_command("models", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def finding(name):
    return {found.id: found for found in diagnose()["Models"]}[name]


@pytest.mark.django_db
def test_a_gguf_model_is_activated_as_it_was_quantized(imported):
    assert "small  qwen2 (gguf)" in models("list")
    row = activation.activate("small", grounds=WHY)
    assert (row.engine, row.quantization, row.digest) == ("gguf", "auto", imported.manifest("small").digest)
    with pytest.raises(Invalid, match="runs as it was quantized"):
        activation.activate("small", quantization="nf4", grounds=WHY)


@pytest.mark.django_db
def test_a_cut_file_is_refused_by_the_command_with_its_name(store, gguf_file, tmp_path):
    short = tmp_path / "short.gguf"
    short.write_bytes(gguf_file.read_bytes()[:-1])
    with pytest.raises(CommandError, match=r"short\.gguf .*cut off"):
        models("import", str(short), "--name", "small", "--licence", "MIT")


@pytest.mark.django_db(transaction=True)
def test_without_the_library_answers_are_quotations_and_everybody_is_told_why(imported, switch, absent, settings):
    row = activation.activate("small", grounds=WHY)
    assert engines.engine().name == "extractive"
    row.refresh_from_db()
    assert row.state == ActivationState.FAILED
    assert "not installed" in row.problem
    assert "make gguf" in row.problem
    assert finding("models.engine").level == "error"
    found = finding("models.recipe.small")
    assert (found.level, found.hint) == ("warning", "Run: make gguf")
    assert "cannot answer" in found.words


@pytest.mark.django_db
def test_auto_without_the_library_quotes(imported, switch, absent, settings):
    settings.ENGINE, settings.MODEL = "auto", "small"
    assert engines.engine().name == "extractive"


@pytest.mark.django_db
def test_the_engine_gguf_refuses_other_models(store, switch, settings, caplog):
    settings.ENGINE, settings.MODEL = "gguf", "tiny"
    assert engines.engine().name == "extractive"
    assert "tiny is no GGUF model" in caplog.text


@installed
@pytest.mark.django_db
def test_auto_answers_with_the_gguf_model_of_the_settings(imported, switch, settings):
    settings.ENGINE, settings.MODEL = "auto", "small"
    assert (engines.engine().name, engines.engine().model) == ("gguf", "small (q8_0)")
    found = finding("models.recipe.small")
    assert (found.level, "q8_0 as imported" in found.words) == ("good", True)


@installed
@pytest.mark.django_db(transaction=True)
def test_a_worker_changes_to_a_gguf_model_that_was_activated(imported, switch):
    row = activation.activate("small", grounds=WHY)
    engine = engines.engine()
    assert engine.name == "gguf"
    row.refresh_from_db()
    assert (row.state, row.problem) == (ActivationState.ACTIVE, "")
    assert collect(engine.stream(REQUEST, cancelled=lambda: False))[2].completion_tokens


@installed
@pytest.mark.django_db(transaction=True)
def test_a_flipped_bit_leaves_quotations_and_names_the_file(imported, switch):
    row = activation.activate("small", grounds=WHY)
    path = imported.folder("small") / "tiny.gguf"
    content = bytearray(path.read_bytes())
    content[-500] ^= 1
    path.write_bytes(content)
    assert engines.engine().name == "extractive"
    row.refresh_from_db()
    assert "tiny.gguf differs" in row.problem


@installed
@pytest.mark.django_db
def test_benchmark_of_a_gguf_model_ends_with_a_line_of_json(imported):
    out = models("benchmark", "small", "--users", "1,3", "--tokens", "4", "--against", "tiny")
    body = json.loads(out.splitlines()[-1])
    assert 0.8 < body["agreement"] <= 1.0
    assert body["perplexity_after"] == pytest.approx(body["perplexity_before"], rel=0.05)
    assert body["quantization"] == "q8_0"
    assert body["users_3"]["requests"] == 3
    assert body["users_1"]["tokens"] > 0
