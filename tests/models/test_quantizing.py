"""Quantizing an installed model: measured, recorded, refused past the limits, and never activated without its gate."""

import json
import signal
import subprocess
import sys
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from assistant import engines, leases, observability, tasks
from assistant.audit.models import AuditEvent
from assistant.errors import Conflict, Invalid
from assistant.models import JobState, ModelJob
from assistant.registry import activation, jobs, quantizing
from inference import loading
from inference.errors import ModelCorrupt, QuantizationRefused
from inference.store import Limits, Manifest

LENIENT = Limits(max_loss=1.0, min_agreement=0.3)
STRICT = Limits(max_loss=0.0, min_agreement=1.0)
WHY = activation.Grounds(reason="a test of the quality gate")


def models(*arguments: str) -> str:
    out = StringIO()
    call_command("models", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("recipe", quantizing.RECIPES)
def test_a_quantized_copy_is_installed_with_its_measurement(recipe, store):
    told = []
    with observability.context(actor="user:7"):
        made = quantizing.quantize(name="tiny", recipe=recipe, allowed=LENIENT, told=lambda *step: told.append(step))
    parent = store.manifest("tiny")
    assert (made.name, made.recipe, made.parent, made.source) == (f"tiny-{recipe}", recipe, parent.digest, "tiny")
    assert (made.licence, made.imported_by, made.template_sha256) == ("MIT", "user:7", parent.template_sha256)
    assert store.verify(made.name) == made
    assert made.gate.passed
    assert made.gate.positions > 500
    assert 0.3 < made.gate.agreement <= 1
    assert made.gate.perplexity_before > 1
    assert {step[0] for step in told} == {"writing", "measuring"}
    event = AuditEvent.objects.get(action="model.changed")
    assert (event.outcome, event.detail["change"], event.detail["recipe"]) == ("success", "quantized", recipe)
    assert event.detail["parent"] == parent.digest
    assert event.detail["agreement"] == made.gate.agreement
    row = activation.activate(made.name, grounds=WHY)
    assert row.digest == made.digest


@pytest.mark.django_db
def test_past_the_limits_nothing_is_installed_and_the_refusal_is_on_record(store):
    with pytest.raises(QuantizationRefused, match="loses too much: perplexity") as caught:
        quantizing.quantize(name="tiny", recipe="nf4", allowed=STRICT)
    assert "--force" in caught.value.hint
    assert store.names() == ["tiny"]
    assert not list(store.root.glob(".*"))
    event = AuditEvent.objects.get(action="model.changed")
    assert (event.outcome, event.detail["forced"]) == ("refused", False)


@pytest.mark.django_db
def test_what_was_forced_says_so_for_good(store):
    made = quantizing.quantize(name="tiny", recipe="nf4", target="small", allowed=STRICT, force=True)
    assert made.gate.forced
    assert not made.gate.passed
    assert store.manifest("small").gate.forced
    assert AuditEvent.objects.get(action="model.changed").detail["forced"]
    assert "forced" in models("list")
    activation.activate("small", grounds=WHY)


@pytest.mark.django_db
def test_no_quantization_is_activated_without_its_gate(store, tmp_path):
    with pytest.raises(QuantizationRefused, match="not stored as nf4") as caught:
        activation.activate("tiny", quantization="nf4", grounds=WHY)
    assert "manage.py models quantize tiny --recipe nf4" in caught.value.hint
    quantizing.quantize(name="tiny", recipe="int8", allowed=LENIENT)
    carried = store.import_path(store.folder("tiny-int8"), name="carried", licence="MIT", imported_by="test")
    assert (carried.recipe, carried.gate) == ("int8", None)
    with pytest.raises(QuantizationRefused, match="never measured"):
        activation.activate("carried", grounds=WHY)


@pytest.mark.django_db
def test_a_gate_that_was_lowered_in_the_manifest_is_looked_at_again(store, switch, settings):
    quantizing.quantize(name="tiny", recipe="int8", allowed=LENIENT)
    path = store.folder("tiny-int8") / "manifest.json"
    body = json.loads(path.read_text())
    body["gate"]["agreement"] = 0.1
    path.write_text(json.dumps(body))
    settings.ENGINE, settings.MODEL, settings.QUANTIZATION = "transformers", "tiny-int8", "auto"
    assert engines.engine().name == "extractive"


@pytest.mark.django_db
def test_settings_cannot_quantize_by_the_way(store, switch, settings, caplog):
    settings.ENGINE, settings.MODEL, settings.QUANTIZATION = "transformers", "tiny", "nf4"
    assert engines.engine().name == "extractive"
    assert "models quantize tiny --recipe nf4" in caplog.text


def test_a_manifest_from_before_reads_as_unquantized(store):
    path = store.folder("tiny") / "manifest.json"
    body = json.loads(path.read_text())
    for field in ("recipe", "parent", "gate"):
        del body[field]
    path.write_text(json.dumps(body))
    manifest = Manifest.read(store.folder("tiny"))
    assert (manifest.recipe, manifest.parent, manifest.gate) == ("", "", None)


@pytest.mark.django_db
def test_a_flipped_bit_in_a_quantized_model_is_found(store):
    quantizing.quantize(name="tiny", recipe="int8", allowed=LENIENT)
    path = store.folder("tiny-int8") / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"model\.safetensors"):
        activation.activate("tiny-int8", grounds=WHY)


@pytest.mark.django_db
def test_the_command_measures_on_the_administrators_own_text(store, tmp_path):
    text = tmp_path / "minutes.txt"
    text.write_text("Pumps are serviced every 2,000 hours by a trained technician. " * 30)
    models(
        *("quantize", "tiny", "--recipe", "dynamic8", "--text", str(text)),
        *("--max-perplexity-loss", "1", "--min-agreement", "0.3"),
    )
    gate = store.manifest("tiny-dynamic8").gate
    assert (gate.text, gate.max_loss, gate.min_agreement) == ("minutes.txt", 1.0, 0.3)
    with pytest.raises(CommandError, match="loses too much"):
        models(*("quantize", "tiny", "--recipe", "nf4", "--max-perplexity-loss", "0", "--min-agreement", "1"))
    with pytest.raises(CommandError, match="installed already"):
        models("quantize", "tiny", "--recipe", "dynamic8")
    short = tmp_path / "short.txt"
    short.write_text("Too short.")
    with pytest.raises(CommandError, match="at least 64"):
        models("quantize", "tiny", "--recipe", "int8", "--text", str(short))
    with pytest.raises(CommandError, match="cannot be read"):
        models("quantize", "tiny", "--recipe", "int8", "--text", str(tmp_path / "absent.txt"))
    with pytest.raises(CommandError, match="between 0 and 1"):
        models("quantize", "tiny", "--recipe", "int8", "--min-agreement", "2")


@pytest.mark.django_db(transaction=True)
def test_a_job_is_done_once_and_shows_how_far_it_is(store, monkeypatch):
    seen = []
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    renew = leases.renew

    def looking(job, *, seconds):
        renew(job, seconds=seconds)
        row = ModelJob.objects.get()
        seen.append((row.state, row.stage, row.progress))
        tasks.work(job.pk)  # another worker got the same message: it leaves quietly

    monkeypatch.setattr(leases, "renew", looking)
    job = quantizing.begin(name="tiny", recipe="int8", allowed=LENIENT)
    with pytest.raises(Conflict, match="being made"):
        quantizing.begin(name="tiny", recipe="int8", allowed=LENIENT)
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem, job.progress, job.attempt) == (JobState.DONE, "", 100, 1)
    assert {stage for _, stage, _ in seen} >= {"writing"}
    assert store.manifest("tiny-int8").gate.passed
    tasks.work(job.pk)
    assert ModelJob.objects.get().attempt == 1


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_says_why_and_one_that_is_lost_is_given_up(store):
    job = quantizing.begin(name="tiny", recipe="nf4", allowed=STRICT)
    tasks.work(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.REFUSED
    assert "loses too much" in job.problem
    lost = quantizing.begin(name="tiny", recipe="nf4", allowed=STRICT)
    ModelJob.objects.filter(pk=lost.pk).update(state=JobState.RUNNING, attempt=jobs.LAST_ATTEMPT)
    assert jobs.resend() == 1
    tasks.work(lost.pk)
    lost.refresh_from_db()
    assert lost.state == JobState.FAILED
    assert "too little memory" in lost.problem
    assert jobs.resend() == 0


KILLED = """
import sys, time
from pathlib import Path
from inference import quantizing
from inference.store import ModelStore

store = ModelStore(Path(sys.argv[1]))

def make(into):
    quantizing.quantize(store.folder("tiny"), into, "int8", device="cpu")
    print("written", flush=True)
    time.sleep(600)

store.derive(store.manifest("tiny"), "tiny-int8", make, by="test")
"""


@pytest.mark.django_db(transaction=True)
def test_after_a_worker_was_killed_the_job_is_done_by_another_and_nothing_half_lies_about(store):
    job = quantizing.begin(name="tiny", recipe="int8", allowed=LENIENT)
    ModelJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING, attempt=1)  # its lease has run out
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.root)], stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "written\n"
        (half,) = store.root.glob(".*.partial")
        tasks.sweep()
        assert list(half.glob("*.safetensors"))  # in use: nobody takes it away
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=60)
    assert half.is_dir()
    tasks.sweep()
    assert [path.name for path in store.root.iterdir()] == ["tiny"]
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem, job.attempt) == (JobState.DONE, "", 2)
    assert store.verify("tiny-int8").gate.passed


@pytest.mark.django_db
def test_what_cannot_be_quantized_is_refused_before_a_job_is_made(store):
    with pytest.raises(Invalid, match="recipe must be"):
        quantizing.begin(name="tiny", recipe="q2", allowed=LENIENT)
    quantizing.quantize(name="tiny", recipe="int8", allowed=LENIENT)
    with pytest.raises(QuantizationRefused, match="already"):
        quantizing.begin(name="tiny-int8", recipe="nf4", allowed=LENIENT)
    with pytest.raises(FileExistsError):
        quantizing.begin(name="tiny", recipe="int8", allowed=LENIENT)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Limits(min_agreement=1.5)
    assert not ModelJob.objects.exists()
    assert loading.load(store.folder("tiny-int8"), device="cpu").quantization == "int8"
