"""A LoRA adapter on top of an installed model becomes a model; what is none, or another model's, is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from django.core.management import CommandError, call_command
from safetensors.torch import load_file, save_file

from assistant import tasks
from assistant.audit.models import AuditEvent
from assistant.errors import Conflict, Invalid
from assistant.models import JobState, ModelJob
from assistant.registry import activation, importing, jobs, quantizing
from inference import loading
from inference.engines import llama
from inference.errors import ModelCorrupt
from inference.store import Adapter, Limits, gguf_adapter
from inference.store.manifest import sha256_of
from tests.inference.gguf import build
from tests.inference.gguf.test_adapter import said as told
from tests.models.adapters import trained

# peft asks transformers for checkpointing by its former name
pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")]


def logits(folder, adapter=None):
    loaded = loading.load(folder, device="cpu", adapter=adapter)
    with torch.inference_mode():
        return loaded.model(input_ids=torch.arange(40, 60)[None]).logits.float().flatten()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def said(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def changed(folder, change, prefix=""):
    """Its tensors as `change(name, tensor)` makes them, None leaving one out."""
    path = folder / "adapter_model.safetensors"
    made = {prefix + name: change(name, tensor) for name, tensor in load_file(path).items()}
    save_file({name: tensor.contiguous() for name, tensor in made.items() if tensor is not None}, path)


def imported(path, name="tuned", base="tiny"):
    call_command("models", "import", str(path), "--name", name, "--licence", "company", "--on", base)


def test_an_adapter_on_an_installed_model_is_a_model_of_its_own(store, tmp_path):
    adapter = trained(store.folder("tiny"), tmp_path / "adapter")
    imported(adapter)
    made, base = store.verify("tuned"), store.manifest("tiny")
    assert (made.parent, made.source, made.licence, made.recipe) == (base.digest, "tiny with adapter", "company", "")
    weights = adapter / "adapter_model.safetensors"
    facts = Adapter("adapter", weights.stat().st_size, sha256_of(weights), base="tiny", base_licence="MIT")
    assert made.adapter == facts
    assert not (store.folder("tuned") / "adapter").exists()
    plain, together, ours = (
        logits(store.folder("tiny")),
        logits(store.folder("tiny"), adapter),
        logits(store.folder("tuned")),
    )
    near = torch.nn.functional.cosine_similarity
    assert near(together, ours, dim=0) > 0.999
    assert near(plain, ours, dim=0) < 0.99
    event = AuditEvent.objects.filter(action="model.changed").latest("seq")
    assert (event.target_id, event.detail["parent"], len(event.detail["adapter"])) == ("tuned", base.digest, 64)
    assert made.template_sha256 == base.template_sha256
    kept = {entry.path: entry.sha256 for entry in base.files if "token" in entry.path or entry.path.endswith(".jinja")}
    assert kept.items() <= {entry.path: entry.sha256 for entry in made.files}.items()


def test_an_adapter_of_another_model_is_refused(store, tmp_path):
    adapter = trained(store.folder("tiny"), tmp_path / "adapter", width=48)
    with pytest.raises(CommandError, match=r"does not go on top of this model.*Take the adapter that was trained"):
        imported(adapter)
    assert store.names() == ["tiny"]
    assert AuditEvent.objects.filter(action="model.changed").latest("seq").outcome == "failed"


def test_weights_the_model_has_no_place_for_are_refused(store, tmp_path):
    adapter = trained(store.folder("tiny"), tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    save_file({key.replace("layers.0", "layers.7"): value for key, value in load_file(path).items()}, path)
    with pytest.raises(CommandError, match="does not go on top of this model"):
        imported(adapter)
    assert store.names() == ["tiny"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "adapter_config.json").unlink(), "holds no adapter_config.json"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), "cannot be read"),
        (lambda folder: (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"})), "of the kind"),
        (lambda folder: (folder / "adapter_model.bin").write_bytes(b"x"), "can run code"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "holds no adapter_model.safetensors"),
        (lambda folder: cut(folder / "adapter_model.safetensors"), "is not a whole safetensors file"),
        (lambda folder: said(folder, r=8), r"has the rank 4 in adapter_model\.safetensors, adapter_config\.json says"),
        (lambda folder: said(folder, r=True), "says r = True, which is no rank"),
        (lambda folder: changed(folder, lambda name, it: it[:, :3] if "lora_B" in name else it), "of the ranks"),
        (lambda folder: changed(folder, lambda name, it: None if "lora_A" in name else it), "one of the two parts"),
        (lambda folder: changed(folder, lambda name, it: it * float("nan")), "cannot be added to the weights"),
        (lambda folder: changed(folder, lambda name, it: it, "other."), "no part of a LoRA adapter"),
    ],
)
def test_what_is_no_adapter_is_refused(store, tmp_path, change, words):
    adapter = trained(store.folder("tiny"), tmp_path / "adapter")
    change(adapter)
    with pytest.raises(CommandError, match=words):
        imported(adapter)
    assert store.names() == ["tiny"]


def test_a_quantized_base_is_refused(store, tmp_path):
    adapter = trained(store.folder("tiny"), tmp_path / "adapter")
    other = tmp_path / "quantized"
    shutil.copytree(store.folder("tiny"), other)
    (other / "manifest.json").unlink()
    body = json.loads((other / "config.json").read_text())
    body["quantization_config"] = {"load_in_8bit": True}
    (other / "config.json").write_text(json.dumps(body))
    store.import_path(other, name="small", licence="MIT", imported_by="test")
    with pytest.raises(CommandError, match="unquantized model"):
        imported(adapter, base="small")


@pytest.fixture
def drop(settings, tmp_path, store):
    """The drop folder, with an adapter for the model "tiny" in it."""
    settings.MODELS_DROP_DIR = tmp_path / "incoming"
    trained(store.folder("tiny"), settings.MODELS_DROP_DIR / "adapter")
    return settings.MODELS_DROP_DIR


def test_an_adapter_in_the_drop_folder_asks_for_its_base(drop, store):
    (seen,) = importing.dropped()
    assert (seen.entry, seen.adapter, seen.bases, seen.problem) == ("adapter", True, ("tiny",), "")
    for base, words in (("", "name the installed model"), ("absent", "No model of that name"), ("../tiny", "No model")):
        with pytest.raises(Invalid, match=words) as caught:
            importing.begin(entry="adapter", name="tuned", licence="MIT", base=base)
        assert set(caught.value.fields) == {"base"}
    shutil.copytree(store.folder("tiny"), drop / "whole")
    with pytest.raises(Exception, match="whole is no LoRA adapter"):
        importing.begin(entry="whole", name="tuned", licence="MIT", base="tiny")
    said(drop / "adapter", r=8)
    with pytest.raises(ModelCorrupt, match="has the rank 4"):  # at once, not when a worker has loaded the base
        importing.begin(entry="adapter", name="tuned", licence="MIT", base="tiny")
    assert not ModelJob.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_base_of_an_import_stays_until_it_has_ended_and_is_not_needed_then(drop, store, monkeypatch):
    seen = []
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    renew = jobs.leases.renew
    monkeypatch.setattr(
        jobs.leases, "renew", lambda job, **more: (renew(job, **more), seen.append(ModelJob.objects.get().stage))
    )
    job = importing.begin(entry="adapter", name="tuned", licence="company", base="tiny")
    with pytest.raises(Conflict, match="Work on this model goes on"):
        activation.remove("tiny")
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem, job.progress) == (JobState.DONE, "", 100)
    assert list(dict.fromkeys(seen)) == ["", "verifying", "loading", "joining", "checking"]
    smaller = quantizing.quantize(name="tuned", recipe="int8", allowed=Limits(1.0, 0.3))
    assert smaller.adapter == store.manifest("tuned").adapter
    activation.remove("tiny")
    store.verify("tuned")
    assert activation.activate("tuned", grounds=activation.Grounds(reason="a test")).name == "tuned"


@pytest.mark.django_db(transaction=True)
def test_an_import_of_an_adapter_that_is_stopped_leaves_nothing(drop, store, monkeypatch):
    job = importing.begin(entry="adapter", name="tuned", licence="company", base="tiny")
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    renew = jobs.leases.renew

    def stopped(row, **more):
        renew(row, **more)
        if ModelJob.objects.get().stage == "joining":
            jobs.stop(row.pk)

    monkeypatch.setattr(jobs.leases, "renew", stopped)
    tasks.work(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert [path.name for path in store.root.iterdir()] == ["tiny"]
    assert not AuditEvent.objects.filter(action="model.changed").exists()


LORA = {
    f"model.layers.{layer}.self_attn.q_proj": (
        torch.randn(4, 64, generator=torch.Generator().manual_seed(layer)),
        torch.randn(64, 4, generator=torch.Generator().manual_seed(layer + 9)),
    )
    for layer in range(2)
}


@pytest.fixture
def gguf(store, drop, qwen2_folder):
    """A GGUF model "small", and in the drop folder an adapter for it."""
    laid = build.write(qwen2_folder, drop / "small.gguf", kind="F32")
    store.import_path(laid, name="small", licence="Apache-2.0", imported_by="test")
    laid.unlink()
    return build.write_adapter(drop / "tone.gguf", LORA, layers=2, alpha=8.0)


@pytest.mark.django_db(transaction=True)
def test_an_adapter_for_a_gguf_model_lies_beside_weights_that_are_shared_on_the_disk(gguf, store):
    assert [(seen.entry, seen.bases) for seen in importing.dropped()] == [
        ("adapter", ("tiny",)),
        ("tone.gguf", ("small",)),
    ]
    job = importing.begin(entry="tone.gguf", name="toned", licence="company", base="small")
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem, job.progress) == (JobState.DONE, "", 100)
    made, base = store.verify("toned"), store.manifest("small")
    assert (made.kind, made.architecture, made.parent) == ("gguf", "qwen2", base.digest)
    assert made.adapter == Adapter("tone.gguf", gguf.stat().st_size, sha256_of(gguf), "small", "Apache-2.0")
    assert {entry.path for entry in made.files} == {"small.gguf", "adapter/lora.gguf"}
    assert (store.folder("toned") / "small.gguf").samefile(store.folder("small") / "small.gguf")
    with pytest.raises(Invalid, match="has an adapter already"):
        importing.begin(entry="tone.gguf", name="twice", licence="company", base="toned")
    activation.remove("small")
    store.verify("toned")
    changed = gguf_adapter(store.folder("toned"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelCorrupt, match=r"adapter/lora\.gguf differs"):
        activation.activate("toned", grounds=activation.Grounds(reason="a test"))


def test_adapters_and_models_of_two_formats_do_not_mix(gguf, store):
    for path, base, words in (
        (gguf, "tiny", "is an adapter for gguf models; tiny is a safetensors model"),
        (gguf.parent / "adapter", "small", "is an adapter for safetensors models; small is a gguf model"),
    ):
        with pytest.raises(CommandError, match=words):
            imported(path, base=base)
    with pytest.raises(CommandError, match="This is a LoRA adapter: name the installed model"):
        call_command("models", "import", str(gguf), "--name", "tuned", "--licence", "company")
    assert store.names() == ["small", "tiny"]


@pytest.mark.skipif(bool(llama.missing()), reason="llama.cpp is not installed: make test-gguf")
def test_a_gguf_model_with_its_adapter_answers_as_the_library_does(gguf, store):
    imported(gguf, name="toned", base="small")
    base = store.folder("small")
    together = told(base, adapter=gguf)
    assert told(store.folder("toned")) == together
    assert told(base) != together
    call_command("models", "benchmark", "toned", "--users", "1", "--tokens", "4", "--against", "tiny")
