"""Changing the answering model while the product runs: audited, verified, in the background, with a way back."""

import threading
import time

import pytest
from django.urls import reverse

from assistant import engines, observability
from assistant.audit.models import AuditEvent
from assistant.errors import Invalid
from assistant.models import ActivationState, ModelActivation
from assistant.registry import activation
from inference.config import GenerationOptions
from inference.engines.base import GenerationRequest, Message, collect
from inference.errors import ModelCorrupt, ModelNotFound

WHY = activation.Grounds(reason="a test of the engine switch")
REQUEST = GenerationRequest(
    "q", (), (Message("user", "How long?"),), options=GenerationOptions(max_new_tokens=60, max_thinking_tokens=60)
)


def never() -> bool:
    return False


def until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.django_db
def test_choosing_is_checked_and_on_record(store):
    with observability.context(actor="user:7"):
        row = activation.activate("tiny", quantization="none", grounds=WHY)
    assert (row.engine, row.name, row.by, row.state) == ("transformers", "tiny", "user:7", ActivationState.CHOSEN)
    assert row.digest == store.manifest("tiny").digest
    event = AuditEvent.objects.get(action="model.changed")
    assert event.detail["change"] == "activated"
    assert event.detail["digest"] == row.digest
    assert activation.active_name() == "tiny"
    activation.deactivate()
    assert activation.active_name() == ""


@pytest.mark.django_db
def test_what_cannot_be_activated_changes_nothing(store):
    with pytest.raises(ModelNotFound):
        activation.activate("absent", grounds=WHY)
    with pytest.raises(Invalid):
        activation.activate("tiny", quantization="q2", grounds=WHY)
    (store.folder("tiny") / "config.json").write_text("{}")
    with pytest.raises(ModelCorrupt):
        activation.activate("tiny", grounds=WHY)
    assert not ModelActivation.objects.exists()
    assert not AuditEvent.objects.filter(action="model.changed").exists()


@pytest.mark.django_db(transaction=True)
def test_a_running_worker_changes_to_the_model_and_back(store, switch):
    assert engines.engine().name == "extractive"
    row = activation.activate("tiny", quantization="none", grounds=WHY)
    assert until(lambda: engines.engine().name == "transformers")
    row.refresh_from_db()
    assert (row.state, row.problem) == (ActivationState.ACTIVE, "")
    assert collect(engines.engine().stream(REQUEST, cancelled=never))[2].completion_tokens
    assert engines.digest_of(engines.engine()) == engines.store().manifest("tiny").digest
    activation.deactivate()
    assert until(lambda: engines.engine().name == "extractive")


@pytest.mark.django_db(transaction=True)
def test_a_running_answer_finishes_on_the_model_it_began_with(store, switch, monkeypatch):
    monkeypatch.setattr(engines, "RETIRE_SECONDS", 5.0)
    activation.activate("tiny", quantization="none", grounds=WHY)
    old = engines.engine()
    begun = old.stream(REQUEST, cancelled=never)
    first = next(begun)
    activation.deactivate()
    assert until(lambda: engines.engine().name == "extractive")
    assert collect([first, *begun])[2].reason in {"length", "stop"}


@pytest.mark.django_db(transaction=True)
def test_a_model_that_cannot_be_loaded_leaves_quotations_and_says_why(store, switch, caplog):
    row = activation.activate("tiny", quantization="none", grounds=WHY)
    path = store.folder("tiny") / "model.safetensors"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert engines.engine().name == "extractive"
    row.refresh_from_db()
    assert row.state == ActivationState.FAILED
    assert "model.safetensors" in row.problem
    assert "Falling back to extractive" in caplog.text
    assert engines.stands_in(engines.engine()) == engines.StandsIn("transformers", "tiny", "ModelCorrupt")
    activation.deactivate()
    assert until(lambda: engines.stands_in(engines.engine()) is None)  # quotations that were chosen


@pytest.mark.django_db(transaction=True)
def test_asking_never_waits_for_a_model_that_is_being_loaded(store, switch, monkeypatch):
    assert engines.engine().name == "extractive"
    gate = threading.Event()
    load = engines._local

    def slowly(choice):
        gate.wait(60)
        return load(choice)

    monkeypatch.setattr(engines, "_local", slowly)
    activation.activate("tiny", quantization="none", grounds=WHY)
    assert engines.engine().name == "extractive"
    assert engines.engine().name == "extractive"
    gate.set()
    assert until(lambda: engines.engine().name == "transformers")


@pytest.mark.django_db
def test_settings_decide_while_nothing_was_activated(store, switch, settings):
    settings.ENGINE, settings.MODEL, settings.QUANTIZATION = "auto", "tiny", "none"
    assert engines.engine().model == "tiny (none)"
    assert activation.active_name() == "tiny"


@pytest.mark.django_db
def test_the_page_lets_a_model_answer_as_it_is_stored(store, people, client):
    client.force_login(people.administrator)
    page = client.get(reverse("web:models")).content.decode()
    assert "tiny" in page
    assert "<select" not in page  # to quantize is another act, with its own gate
    client.post(reverse("web:models-activate"), {"name": "tiny", "reason": WHY.reason})
    row = activation.current()
    assert (row.name, row.quantization, row.state) == ("tiny", "auto", ActivationState.CHOSEN)
