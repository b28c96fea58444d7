"""manage.py models, from the shell's side."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assistant.audit.models import AuditEvent
from assistant.registry import activation
from inference import benchmark, energy
from inference.energy import UNTOLD
from tests.inference.models.hub import REVISION, running_hub

pytestmark = pytest.mark.django_db


def models(*arguments: str) -> str:
    out = StringIO()
    call_command("models", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def changes() -> list[str]:
    return [event.detail["change"] for event in AuditEvent.objects.filter(action="model.changed").order_by("seq")]


def test_import_activate_deactivate_and_remove_are_on_record(store, qwen2_folder):
    models("import", str(qwen2_folder), "--name", "other", "--licence", "MIT")
    assert "other" in models("list")
    models("activate", "other", "--quantization", "none", "--reason", "it is measured elsewhere")
    assert activation.active_name() == "other"
    with pytest.raises(CommandError, match="answers now"):
        models("remove", "other")
    models("deactivate")
    models("remove", "other")
    assert changes() == ["imported", "activated", "activated", "removed"]


def test_benchmark_ends_with_a_line_of_json(store):
    body = json.loads(
        models("benchmark", "tiny", "--quantization", "dynamic8", "--users", "1,3", "--tokens", "8").splitlines()[-1]
    )
    assert body["agreement"] > 0.8
    assert body["users_3"]["requests"] == 3
    assert body["users_1"]["tokens"] > 0
    told = body["energy"] != UNTOLD
    assert all((body[users]["joules_per_token"] is not None) == told for users in ("users_1", "users_3"))
    assert body["peak_bytes"] >= 0  # of a tiny model it may be lost in the process's noise


def test_benchmark_judges_the_answers_to_a_file_of_questions(store, tmp_path):
    """A model with random weights says nothing that was expected; one question does not fit into its context."""
    asked = {"role": "user", "content": "Receipts are handed in within 30 days.\n\nWhen are receipts handed in?"}
    rows = [
        {"messages": [asked], "answer": "xylophonist quartermasters"},
        {"prompt": "Who approves trips? " * 400, "answer": "x"},
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told = models("benchmark", "tiny", "--users", "1", "--tokens", "4", "--questions", str(path)).splitlines()
    body = json.loads(told[-1])
    assert body["answers"] == {"questions": 2, "f1": 0.0, "rouge_l": 0.0, "exact": 0.0, "too_long": 1}
    assert any(line.startswith("answers ") and "rouge_l" in line for line in told[:-1])


def test_benchmark_tells_joules_per_token_where_the_machine_tells(store, tmp_path, monkeypatch):
    """Each run costs 40 joules by the counter of a folder laid out as powercap."""
    folder = tmp_path / "intel-rapl:0"
    folder.mkdir()
    (folder / "name").write_text("package-0")
    (folder / "energy_uj").write_text("0")
    speed = benchmark.speed

    def costly(*args, **options):
        found = speed(*args, **options)
        fresh = folder / "fresh"
        fresh.write_text(str(int((folder / "energy_uj").read_text()) + 40_000_000))
        fresh.rename(folder / "energy_uj")
        return found

    monkeypatch.setattr(benchmark, "speed", costly)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    body = json.loads(models("benchmark", "tiny", "--users", "1", "--tokens", "8").splitlines()[-1])
    assert body["energy"] == "processor"
    assert body["users_1"]["joules_per_token"] == pytest.approx(40 / body["users_1"]["tokens"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.jsonl", '{"prompt": "Why?", "answer": "So."}\n{"prompt": ', "bad.jsonl, line 2"),
        ("bad.jsonl", '{"question": "Why?"}', "line 1: KeyError"),
        ("text.jsonl", '{"text": "Pumps are serviced."}', "a text, not a question"),
        ("notes.txt", "Why?", "is not a question file"),
        ("empty.jsonl", "", "hold no items"),
    ],
)
def test_benchmark_names_what_is_wrong_with_a_question_file(name, content, words, store, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(CommandError, match=words):
        models("benchmark", "tiny", "--questions", str(tmp_path / name))


def test_pull_installs_exactly_what_the_hub_has(store, qwen2_folder):
    with running_hub(qwen2_folder) as hub:
        models("pull", "acme/tiny", "--revision", REVISION, "--hub", hub.url, "--name", "pulled", "--licence", "MIT")
    manifest = store.verify("pulled")
    assert manifest.revision == REVISION
    assert manifest.source.endswith("acme/tiny")
    assert changes() == ["pulled"]


def test_long_work_tells_how_far_it_is(store, qwen2_folder):
    """Stages as they go by, with how much of each is done."""
    for arguments, stages in (
        (("import", str(qwen2_folder), "--name", "second", "--licence", "MIT"), ("copying", "checking")),
        (("verify", "second"), ("verifying",)),
        (("benchmark", "second", "--users", "2", "--tokens", "4"), ("loading", "timing")),
    ):
        told = StringIO()
        call_command("models", *arguments, stdout=StringIO(), stderr=told)
        for stage in stages:
            assert f"{stage}: " in told.getvalue()
    assert told.getvalue().rstrip().endswith("timing: 2 of 2")


def test_pull_can_write_a_bundle_for_a_machine_without_a_network(store, qwen2_folder, tmp_path):
    bundle = tmp_path / "bundle"
    with running_hub(qwen2_folder) as hub:
        models("pull", "acme/tiny", "--revision", REVISION, "--hub", hub.url, "--bundle", str(bundle))
    models("import", str(bundle), "--name", "carried", "--licence", "MIT", "--revision", REVISION)
    assert store.verify("carried").digest == store.manifest("tiny").digest
