"""From a repository's name to a model that answers, in one command, against a hub that answers as the real one does."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assistant import activation
from assistant.audit.models import AuditContent, AuditEvent
from assistant.models import ModelActivation
from assistant.runtime import up
from inference import advice
from tests.inference.models.hub import REVISION, running_hub

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub(qwen2_folder):
    with running_hub(qwen2_folder) as found:
        found.files["README.md"] = b"---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n"
        yield found


def install(hub, *arguments: str) -> str:
    out = StringIO()
    call_command("models", "install", "acme/tiny", "--hub", hub.url, *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def changes() -> list[str]:
    return [event.detail["change"] for event in AuditEvent.objects.filter(action="model.changed").order_by("seq")]


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path):
    settings.MODELS_DIR = tmp_path / "models"


def test_the_present_commit_is_pinned_checked_quantized_and_activated(hub, monkeypatch):
    from assistant import engines

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


def test_starting_without_the_model_that_was_asked_for_is_refused_in_words(settings, capfd):
    settings.MODEL = "r1-1.5b"
    up.install_model()  # an installed model's name: nothing to fetch
    settings.MODEL = "acme/tiny"
    settings.REVISION = "main"
    with pytest.raises(up.CannotStart, match="acme/tiny could not be installed"):
        up.install_model()
    assert "40 hexadecimal digits" in capfd.readouterr().err
