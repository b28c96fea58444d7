"""From a repository's name to a model that answers, in one command, against a hub that answers as the real one does."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assistant import engines
from assistant.audit.models import AuditContent, AuditEvent
from assistant.models import ModelActivation
from assistant.registry import activation
from assistant.runtime import up
from inference import advice
from tests.inference.gguf import build
from tests.inference.models.hub import REVISION, running_hub

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub(qwen2_folder):
    with running_hub(qwen2_folder) as found:
        found.files["README.md"] = b"---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n"
        yield found


def models(action: str, hub, *arguments: str) -> str:
    out = StringIO()
    call_command("models", action, "acme/tiny", "--hub", hub.url, *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def install(hub, *arguments: str) -> str:
    return models("install", hub, *arguments)


def changes() -> list[str]:
    return [event.detail["change"] for event in AuditEvent.objects.filter(action="model.changed").order_by("seq")]


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path):
    settings.MODELS_DIR = tmp_path / "models"


def test_the_present_commit_is_pinned_checked_quantized_and_activated(hub, monkeypatch):
    out = install(hub)
    store = engines.store()
    assert store.names() == ["tiny", "tiny-dynamic8"]
    assert (store.verify("tiny").revision, store.manifest("tiny").licence) == (REVISION, "apache-2.0")
    made = store.manifest("tiny-dynamic8")
    assert made.gate.passed
    row = ModelActivation.objects.get()
    assert (row.name, row.digest) == ("tiny-dynamic8", made.digest)
    assert changes() == ["pulled", "quantized", "activated"]
    assert AuditEvent.objects.filter(action="model.changed").first().detail["revision"] == REVISION
    assert AuditContent.objects.exists()  # why it may answer without an evaluation
    assert REVISION in out
    assert "perplexity" in out
    asked = len(hub.asked)
    install(hub)  # nothing to do, and nobody outside is asked
    assert len(hub.asked) == asked
    assert ModelActivation.objects.count() == 1


def test_a_recipe_that_fails_its_gate_gives_way_to_the_next(hub, settings):
    settings.MAX_PERPLEXITY_LOSS, settings.MIN_AGREEMENT = 0.0, 1.0
    out = install(hub)
    assert "Quantizing as dynamic8" in out
    assert "Quantizing as nf4" in out
    assert out.count("loses too much") == 2
    assert activation.active_name() == "tiny"
    assert changes()[-1] == "activated"


def test_another_commit_than_the_hub_has_is_refused_and_changes_nothing(hub):
    with pytest.raises(CommandError, match="another revision"):
        install(hub, "--revision", "f" * 40)
    with pytest.raises(CommandError, match="40 hexadecimal digits"):
        install(hub, "--revision", "main")
    assert not ModelActivation.objects.exists()


def test_one_wrong_bit_on_the_way_leaves_nothing_behind(hub, settings):
    hub.damage = "model.safetensors"
    with pytest.raises(CommandError, match=r"model\.safetensors differs"):
        install(hub)
    assert list(settings.MODELS_DIR.iterdir()) == []


def test_a_model_that_fits_by_no_recipe_is_told_so(hub, monkeypatch):
    from inference import loading

    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    with pytest.raises(CommandError, match="by any recipe"):
        install(hub)
    assert advice.order("cpu")[0] == "dynamic8"


@pytest.fixture
def quantized(hub, qwen2_folder, tmp_path):
    """The repository holds the model as two GGUF files of its own and nothing else."""
    hub.files = {
        f"tiny-{kind.lower()}.gguf": build.write(qwen2_folder, tmp_path / f"{kind}.gguf", kind=kind).read_bytes()
        for kind in ("F16", "Q8_0")
    }
    return hub


def test_one_gguf_file_of_several_is_pulled_by_name_and_kept_with_its_name(quantized, settings):
    with pytest.raises(CommandError, match=r"holds 2 GGUF models.*--file: tiny-f16\.gguf, tiny-q8_0\.gguf"):
        models("pull", quantized, "--revision", REVISION)
    models("pull", quantized, "--revision", REVISION, "--file", "tiny-q8_0.gguf")
    manifest = engines.store().verify("tiny-q8_0")
    assert [entry.path for entry in manifest.files] == ["tiny-q8_0.gguf"]
    assert (manifest.kind, manifest.revision) == ("gguf", REVISION)
    assert engines.store().names() == ["tiny-q8_0"]
    assert not list(settings.MODELS_DIR.glob(".*"))


def test_a_bundle_holds_the_named_gguf_file_alone_and_can_be_imported(quantized, tmp_path):
    bundle = tmp_path / "bundle"
    models("pull", quantized, "--revision", REVISION, "--file", "tiny-f16.gguf", "--bundle", str(bundle))
    assert [path.name for path in bundle.iterdir()] == ["tiny-f16.gguf"]
    call_command("models", "import", str(bundle), "--name", "carried", "--licence", "MIT", stdout=StringIO())
    assert engines.store().verify("carried").kind == "gguf"


def test_a_gguf_file_answers_as_it_is_in_one_command(quantized):
    install(quantized, "--file", "tiny-q8_0.gguf")
    assert activation.active_name() == "tiny-q8_0"
    asked = len(quantized.asked)
    install(quantized, "--file", "tiny-q8_0.gguf")
    assert len(quantized.asked) == asked


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hub, settings: hub.sizes.update({"model.safetensors": 2**60}), "GiB are free at .* Free some"),
        (lambda hub, settings: setattr(hub, "url", "http://127.0.0.1:9"), "hub does not answer: .* Check the network"),
        (lambda hub, settings: setattr(hub, "url", ""), "may not fetch models .* carry a bundle"),
        (lambda hub, settings: hub.files.pop("model.safetensors"), "holds no safetensors or GGUF weights"),
        (lambda hub, settings: hub.closed.append("acme/tiny"), "not open to everyone"),
    ],
    ids=["disk", "network", "forbidden", "weights", "gated"],
)
def test_why_a_model_cannot_be_installed_is_said_and_nothing_is_left(change, words, hub, settings):
    change(hub, settings)
    with pytest.raises(CommandError, match=words):
        install(hub)
    assert engines.store().names() == []
    assert not settings.MODELS_DIR.exists() or list(settings.MODELS_DIR.iterdir()) == []
    assert not ModelActivation.objects.exists()


def test_starting_without_the_model_that_was_asked_for_is_refused_in_words(settings, capfd):
    settings.MODEL = "r1-1.5b"
    up.install_model()  # an installed model's name: nothing to fetch
    settings.MODEL = "acme/tiny"
    settings.REVISION = "main"
    with pytest.raises(up.CannotStart, match="acme/tiny could not be installed"):
        up.install_model()
    assert "40 hexadecimal digits" in capfd.readouterr().err
