"""The models page imports, makes smaller copies, removes: what administrators ask for, and what workers make of it."""

import shutil

import pytest

from assistant import leases, tasks
from assistant.audit.models import AuditEvent
from assistant.models import JobState, ModelJob
from assistant.registry import activation, jobs
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.adapters import trained
from tests.models.conftest import store  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # peft asks transformers for checkpointing by its former name
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]


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
    tasks.work(job.pk)
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
    tasks.work(ModelJob.objects.get().pk)
    told = page()
    assert "refused: it loses too much" in told
    assert "tiny-nf4 loses too much: perplexity" in told
    assert store.names() == ["tiny"]


def test_a_copy_that_is_stopped_is_not_made(page, store):  # noqa: F811
    page("quantize/", name="tiny", recipe="int8")
    job = ModelJob.objects.get()
    assert "Stopped." in page(f"jobs/{job.pk}/stop/")
    tasks.work(job.pk)  # the message that was on its way
    assert "stopped" in page()
    assert store.names() == ["tiny"]


def test_a_worker_finds_out_that_its_job_was_stopped(page, store, monkeypatch):  # noqa: F811
    page("quantize/", name="tiny", recipe="int8")
    job = ModelJob.objects.get()
    renewed = leases.renew

    def stopped(*given, **named):
        ModelJob.objects.filter(state=JobState.RUNNING).exists() and jobs.stop(job.pk)
        return renewed(*given, **named)

    monkeypatch.setattr(leases, "renew", stopped)
    tasks.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problem) == (JobState.CANCELLED, "")
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
    assert "Work on this model goes on." in page("remove/", name="tiny")
    page(f"jobs/{ModelJob.objects.get().pk}/stop/")
    assert "“tiny” was removed from this machine." in page("remove/", name="tiny")
    assert store.names() == []
    changes = AuditEvent.objects.filter(action="model.changed").order_by("seq")
    assert changes.last().detail["change"] == "removed"


@pytest.fixture
def drop(settings, tmp_path, qwen2_folder):  # noqa: F811
    """The drop folder, with the folder of a model in it."""
    settings.MODELS_DROP_DIR = tmp_path / "incoming"
    shutil.copytree(qwen2_folder, settings.MODELS_DROP_DIR / "laid")
    (settings.MODELS_DROP_DIR / "laid" / "README.md").write_text("---\nlicense: apache-2.0\n---\nA model.")
    return settings.MODELS_DROP_DIR


def test_what_lies_in_the_drop_folder_is_imported_and_followed(page, drop, store, people):  # noqa: F811
    shown = page()
    assert 'value="laid"' in shown
    assert "models pull OWNER/NAME" in shown  # what the page itself never does
    assert 'value="apache-2.0"' in shown
    told = page("import/", entry="laid", name="brought", licence="Apache-2.0", revision="r1")
    assert "“brought” is being imported." in told
    assert "data-busy" in told
    job = ModelJob.objects.get()
    tasks.work(job.pk)
    done = page()
    assert "data-busy" not in done
    assert "Every file is on record." in done
    manifest = store.verify("brought")
    person = f"user:{people.administrator.pk}"
    assert (manifest.licence, manifest.revision, manifest.imported_by) == ("Apache-2.0", "r1", person)
    event = AuditEvent.objects.get(action="model.changed")
    assert (event.outcome, event.actor, event.detail["change"]) == ("success", person, "imported")
    assert event.detail["digest"] == manifest.digest
    assert (drop / "laid").is_dir()
    page("import/", entry="laid", name="brought", licence="Apache-2.0")
    assert "A model of that name is installed already. Remove it first." in page(
        "import/", entry="laid", name="brought", licence="Apache-2.0"
    )


def test_an_adapter_is_imported_on_top_of_a_model_and_shown_as_both(page, store, settings, tmp_path, people):  # noqa: F811
    settings.MODELS_DROP_DIR = tmp_path / "incoming"
    trained(store.folder("tiny"), settings.MODELS_DROP_DIR / "tone")
    shown = page()
    assert "LoRA adapter: it goes on top of an installed model" in shown
    assert "It says that it was trained on" in shown
    assert '<select id="base-1" name="base" required><option>tiny</option></select>' in shown
    refused = page("import/", entry="tone", name="toned", licence="company")
    assert "This is a LoRA adapter: name the installed model that it goes on top of." in refused
    assert "“toned” is being imported." in page("import/", entry="tone", name="toned", licence="company", base="tiny")
    waiting = page()
    assert "import of an adapter for tiny" in waiting
    tasks.work(ModelJob.objects.get().pk)
    done = page()
    assert "tiny (MIT) with the LoRA adapter tone (" in done
    manifest = store.verify("toned")
    assert manifest.adapter.sha256[:12] in done
    event = AuditEvent.objects.get(action="model.changed")
    facts = (event.actor, event.detail["change"], event.detail["parent"], event.detail["adapter"])
    base = store.manifest("tiny")
    assert facts == (f"user:{people.administrator.pk}", "imported", base.digest, manifest.adapter.sha256)


def test_an_adapter_that_no_installed_model_can_take_is_told_so(page, store, settings, tmp_path):  # noqa: F811
    settings.MODELS_DROP_DIR = tmp_path / "incoming"
    trained(store.folder("tiny"), settings.MODELS_DROP_DIR / "tone")
    page("remove/", name="tiny")
    shown = page()
    assert "No installed model can take it." in shown
    assert 'name="entry"' not in shown


def test_what_can_run_code_is_shown_with_its_reason_and_not_imported(page, drop, store):  # noqa: F811
    (drop / "laid" / "weights.bin").write_bytes(b"pickle")
    shown = page()
    assert "cannot be imported" in shown
    assert "weights.bin is a kind of file that can run code when it is loaded" in shown
    assert 'name="entry"' not in shown
    assert "weights.bin is a kind of file" in page("import/", entry="laid", name="brought", licence="MIT")
    assert not ModelJob.objects.exists()


def test_a_model_that_breaks_on_the_way_fails_in_words_and_leaves_nothing(page, drop, store):  # noqa: F811
    page("import/", entry="laid", name="brought", licence="MIT")
    (drop / "laid" / "tokenizer.json").write_text("{")
    tasks.work(ModelJob.objects.get().pk)
    assert "tokenizer.json is not JSON" in page()
    assert store.names() == ["tiny"]
    assert not list(store.root.glob(".*"))
    event = AuditEvent.objects.get(action="model.changed")
    assert (event.outcome, event.target_id) == ("failed", "brought")


def test_an_import_that_is_stopped_leaves_nothing(page, drop, store, monkeypatch):  # noqa: F811
    page("import/", entry="laid", name="brought", licence="MIT")
    renewed = leases.renew

    def stopped(job, **named):
        jobs.open_jobs().filter(pk=job.pk).exists() and jobs.stop(job.pk)
        return renewed(job, **named)

    monkeypatch.setattr(leases, "renew", stopped)
    tasks.work(ModelJob.objects.get().pk)
    assert ModelJob.objects.get().state == JobState.CANCELLED
    assert store.names() == ["tiny"]
    assert not list(store.root.glob(".*"))
    assert not AuditEvent.objects.filter(action="model.changed").exists()


@pytest.mark.parametrize("entry", ["../models/tiny", "laid/..", "", "absent", ".hidden", "linked"])
def test_only_what_is_listed_can_be_imported(page, drop, store, entry):  # noqa: F811
    (drop / ".hidden").mkdir()
    (drop / "linked").symlink_to(store.folder("tiny"))
    page("import/", entry=entry, name="brought", licence="MIT")
    assert not ModelJob.objects.exists()


def test_a_licence_is_asked_for_and_a_name_is_taken_once(page, drop):
    assert "Name the licence" in page("import/", entry="laid", name="brought", licence=" ")
    page("import/", entry="laid", name="brought", licence="MIT")
    assert "A model of that name is being imported already." in page(
        "import/", entry="laid", name="brought", licence="MIT"
    )
    assert ModelJob.objects.count() == 1


@pytest.mark.parametrize(
    ("language", "evaluate", "answer"), [("en", "Evaluate", "Let it answer"), ("zh-hans", "评测", "用于回答")]
)
def test_the_way_to_let_a_model_answer_names_the_buttons_of_the_page_first(
    page,
    people,
    language,
    evaluate,
    answer,
):
    people.administrator.language = language
    people.administrator.save()
    shown = page()
    assert f">{evaluate}</button>" in shown
    assert f">{answer}</button>" in shown
    told = shown.partition("manage.py models activate")[0]
    assert f"“{evaluate}”" in told
    assert f"“{answer}”" in told


def test_the_speed_of_a_model_is_measured_followed_and_shown(page, store, people):  # noqa: F811
    assert "Measure its speed" in page()
    assert "<h2>Speed on this machine</h2>" not in page()
    told = page("benchmark/", name="tiny", users="1, 3", tokens="8", against="")
    assert "The speed of “tiny” is being measured." in told
    assert "data-busy" in told
    assert "The speed of this model is being measured already." in page(
        "benchmark/", name="tiny", users="1", tokens="8"
    )
    job = ModelJob.objects.get()
    tasks.work(job.pk)
    job.refresh_from_db()
    done = page()
    assert "data-busy" not in done
    assert "Its figures stand under “Speed on this machine”." in done
    for users in (1, 3):
        found = job.result["figures"][f"users_{users}"]
        assert (
            f'<th scope="row" class="number">{users}</th><td class="number">{found["first_token_ms"]:.0f} ms</td>'
            in done
        )
        assert f'<td class="number">{found["tokens_per_second"]:.1f}</td>' in done
    people.administrator.language = "zh-hans"
    people.administrator.save()
    assert "<h2>在本机上的速度</h2>" in page()
    page("remove/", name="tiny")
    assert "<h2>在本机上的速度</h2>" not in page()


@pytest.mark.parametrize(("users", "tokens"), [("", "8"), ("many", "8"), ("1", ""), ("1", "-3"), ("1, 500", "8")])
def test_what_cannot_be_measured_is_said_on_the_page(page, users, tokens):
    told = page("benchmark/", name="tiny", users=users, tokens=tokens)
    assert ("Name one to six numbers of people" in told) or ("An answer has 1 to 1,024 tokens." in told)
    assert not ModelJob.objects.exists()
