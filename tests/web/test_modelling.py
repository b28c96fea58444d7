"""The models page makes smaller copies and removes models: what administrators ask for, and what workers make of it."""

import pytest

from assistant import activation, quantizing
from assistant.audit.models import AuditEvent
from assistant.models import JobState, ModelJob
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.conftest import store  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(people, as_person, store, settings):  # noqa: F811
    settings.MAX_PERPLEXITY_LOSS, settings.MIN_AGREEMENT = 1.0, 0.3
    client = as_person(people.administrator)

    def visit(address: str = "", **values: str) -> str:
        """The models page, after a form of it was sent when an address is given."""
        if address:
            return client.post(f"/models/{address}", values, follow=True).content.decode()
        return client.get("/models/").content.decode()

    return visit


def test_a_copy_is_asked_for_followed_and_installed_with_what_it_lost(page, store, people):  # noqa: F811
    assert "Make a copy and measure it" in page()
    assert "A copy of “tiny” is being made" in page("quantize/", name="tiny", recipe="int8")
    waiting = page()
    assert "data-busy" in waiting
    assert "A worker takes it up as soon as it is free." in waiting
    job = ModelJob.objects.get()
    quantizing.carry_out(job.pk)
    done = page()
    assert "data-busy" not in done
    assert "It passed its measurement and can be let answer." in done
    assert "the same next word in" in done
    assert store.manifest("tiny-int8").imported_by == f"user:{people.administrator.pk}"
    event = AuditEvent.objects.get(action="model.changed", outcome="success")
    assert (event.target_id, event.actor) == ("tiny-int8", f"user:{people.administrator.pk}")


def test_past_the_limits_the_page_says_what_was_measured(page, store, settings):  # noqa: F811
    settings.MAX_PERPLEXITY_LOSS, settings.MIN_AGREEMENT = 0.0, 1.0
    page("quantize/", name="tiny", recipe="nf4")
    quantizing.carry_out(ModelJob.objects.get().pk)
    told = page()
    assert "refused: it loses too much" in told
    assert "tiny-nf4 loses too much: perplexity" in told
    assert store.names() == ["tiny"]


def test_a_copy_that_is_stopped_is_not_made(page, store):  # noqa: F811
    page("quantize/", name="tiny", recipe="int8")
    job = ModelJob.objects.get()
    assert "Stopped." in page(f"jobs/{job.pk}/stop/")
    quantizing.carry_out(job.pk)  # the message that was on its way
    assert "It was stopped." in page()
    assert store.names() == ["tiny"]


def test_a_worker_finds_out_that_its_job_was_stopped(page, store, monkeypatch):  # noqa: F811
    page("quantize/", name="tiny", recipe="int8")
    job = ModelJob.objects.get()
    renewed = quantizing.leases.renew

    def stopped(*given, **named):
        ModelJob.objects.filter(state=JobState.RUNNING).exists() and quantizing.stop(job.pk)
        return renewed(*given, **named)

    monkeypatch.setattr(quantizing.leases, "renew", stopped)
    quantizing.carry_out(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem) == (JobState.FAILED, "It was stopped.")
    assert store.names() == ["tiny"]
    assert not list(store.root.glob(".*"))


def test_what_cannot_be_made_is_said(page):
    assert "The recipe must be nf4, int8 or dynamic8." in page("quantize/", name="tiny", recipe="q2")
    page("quantize/", name="tiny", recipe="int8")
    assert "This copy is being made already." in page("quantize/", name="tiny", recipe="int8")
    assert ModelJob.objects.count() == 1


def test_a_model_is_removed_unless_it_answers_or_is_being_copied(page, store):  # noqa: F811
    activation.activate("tiny", grounds=activation.Grounds(reason="to see it kept"))
    assert "This model answers now." in page("remove/", name="tiny")
    activation.deactivate()
    page("quantize/", name="tiny", recipe="int8")
    assert "A quantized copy of this model is being made." in page("remove/", name="tiny")
    page(f"jobs/{ModelJob.objects.get().pk}/stop/")
    assert "“tiny” was removed from this machine." in page("remove/", name="tiny")
    assert store.names() == []
    changes = AuditEvent.objects.filter(action="model.changed").order_by("seq")
    assert changes.last().detail["change"] == "removed"
