"""A LoRA adapter on top of an installed model becomes a model; what is none, or another model's, is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from django.core.management import CommandError, call_command
from peft import LoraConfig, get_peft_model

from assistant.audit.models import AuditEvent
from inference import loading

# peft asks transformers for checkpointing by its former name
pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")]


def trained(base, into, *, width: int = 0):
    """An adapter with weights that count, on a model of the base's shape or of another width."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base)
    if width:
        config.intermediate_size = width
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config) if width else loading.load(base, device="cpu").model.float()
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(into, safe_serialization=True)
    (into / "README.md").unlink(missing_ok=True)
    return into


def logits(folder, adapter=None):
    loaded = loading.load(folder, device="cpu", adapter=adapter)
    with torch.inference_mode():
        return loaded.model(input_ids=torch.arange(40, 60)[None]).logits.float().flatten()


def imported(path, name="tuned", base="tiny"):
    call_command("models", "import", str(path), "--name", name, "--licence", "company", "--on", base)


def test_an_adapter_on_an_installed_model_is_a_model_of_its_own(store, tmp_path):
    adapter = trained(store.folder("tiny"), tmp_path / "adapter")
    imported(adapter)
    made, base = store.verify("tuned"), store.manifest("tiny")
    assert (made.parent, made.source, made.licence, made.recipe) == (base.digest, "tiny with adapter", "company", "")
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
    from safetensors.torch import load_file, save_file

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
