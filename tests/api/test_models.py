"""The models of this machine over REST: the administrator's page in calls."""

from __future__ import annotations

import shutil

import pytest

from assistant import tasks
from assistant.audit.models import AuditEvent
from assistant.models import ModelJob
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.adapters import trained
from tests.models.conftest import store  # noqa: F401 - a fixture

from .test_accounts import Api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def boss(people, store):  # noqa: F811
    return Api(people.administrator)


def test_a_model_is_imported_measured_chosen_and_removed(boss, store, people, settings, tmp_path, qwen2_folder):  # noqa: F811
    settings.MODELS_DROP_DIR, settings.ENGINE, settings.MODEL = tmp_path / "incoming", "extractive", ""
    shutil.copytree(qwen2_folder, settings.MODELS_DROP_DIR / "laid")
    (seen,) = boss("get", "model-imports/").json()["results"]
    assert (seen["entry"], seen["name"], seen["problem"]) == ("laid", "laid", "")
    begun = boss("post", "model-imports/", {"entry": "laid", "name": "brought", "licence": "MIT"})
    assert begun.status_code == 202, begun.content
    job = begun.json()
    assert (job["kind"], job["state"], job["target"], job["source"]) == ("import", "queued", "brought", "laid")
    assert boss("post", "model-imports/", {"entry": "laid", "name": "brought", "licence": "MIT"}).status_code == 409
    tasks.work(job["id"])
    job = boss("get", f"model-jobs/{job['id']}/").json()
    assert (job["state"], job["progress"], job["problem"]) == ("done", 100, "")

    assert [each["name"] for each in boss("get", "models/").json()["results"]] == ["brought", "tiny"]
    model = boss("get", "models/brought/").json()
    assert model["digest"] == store.manifest("brought").digest == job["result"]["digest"]
    assert {"path", "size", "sha256"} == set(model["files"][0])
    assert model["gate"] is None
    assert boss("post", "models/brought/verify/").json() == model

    begun = boss("post", "models/brought/benchmark/", {"users": [1], "tokens": 4})
    assert begun.status_code == 202, begun.content
    assert boss("delete", "models/brought/").status_code == 409
    tasks.work(begun.json()["id"])
    measured = boss("get", f"model-jobs/{begun.json()['id']}/").json()
    assert measured["options"] == {"users": [1], "tokens": 4, "against": ""}
    assert measured["result"]["figures"]["users_1"]["requests"] == 1

    assert boss("get", "active-model/").json() == {
        "engine": "extractive",
        "name": "",
        "quantization": settings.QUANTIZATION,
        "state": "active",
        "problem": "",
        "at": None,
    }
    refused = boss("put", "active-model/", {"name": "brought"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_evaluated")
    chosen = boss("put", "active-model/", {"name": "brought", "reason": "It is measured elsewhere"})
    assert (chosen.status_code, chosen.json()["name"], chosen.json()["state"]) == (200, "brought", "chosen")
    assert boss("get", "active-model/").json() == chosen.json()
    assert boss("delete", "models/brought/").status_code == 409
    assert boss("delete", "active-model/").json()["engine"] == "extractive"
    assert boss("delete", "models/brought/").status_code == 204
    assert boss("get", "models/brought/").status_code == 404
    person = f"user:{people.administrator.pk}"
    events = AuditEvent.objects.filter(action__startswith="model.").order_by("seq")
    assert [(event.actor, event.action, event.detail.get("change", "")) for event in events] == [
        (person, "model.changed", "imported"),
        (person, "model.measured", ""),
        (person, "model.changed", "activated"),
        (person, "model.changed", "activated"),
        (person, "model.changed", "removed"),
    ]


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft asks by its former name
def test_an_adapter_is_imported_on_top_of_a_model(boss, store, settings, tmp_path):  # noqa: F811
    settings.MODELS_DROP_DIR = tmp_path / "incoming"
    trained(store.folder("tiny"), settings.MODELS_DROP_DIR / "tone")
    (seen,) = boss("get", "model-imports/").json()["results"]
    assert (seen["entry"], seen["adapter"], seen["bases"], seen["problem"]) == ("tone", True, ["tiny"], "")
    wanted = {"entry": "tone", "name": "toned", "licence": "company"}
    for base, field in (("", "base"), ("absent", "base")):
        refused = boss("post", "model-imports/", {**wanted, "base": base})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [field]), refused.content
    begun = boss("post", "model-imports/", {**wanted, "base": "tiny"})
    assert (begun.status_code, begun.json()["options"]) == (202, {"base": "tiny"})
    assert boss("delete", "models/tiny/").status_code == 409  # the import needs it
    tasks.work(begun.json()["id"])
    assert boss("get", f"model-jobs/{begun.json()['id']}/").json()["state"] == "done"
    tiny, toned = boss("get", "models/").json()["results"]
    assert tiny["adapter"] is None
    weights = store.manifest("toned").adapter
    assert toned["adapter"] == {
        "name": "tone",
        "size": weights.size,
        "sha256": weights.sha256,
        "base": "tiny",
        "base_licence": "MIT",
    }
    assert boss("get", "models/toned/").json()["parent"] == tiny["digest"]
    assert boss("delete", "models/tiny/").status_code == 204
    assert boss("post", "models/toned/verify/").status_code == 200


def test_a_copy_is_asked_for_listed_and_stopped(boss):
    job = boss("post", "models/tiny/quantize/", {"recipe": "int8"}).json()
    assert (job["target"], job["source"], job["recipe"]) == ("tiny-int8", "tiny", "int8")
    assert [each["id"] for each in boss("get", "model-jobs/").json()["results"]] == [job["id"]]
    assert boss("post", f"model-jobs/{job['id']}/stop/").json()["state"] == "cancelled"
    assert boss("post", f"model-jobs/{job['id']}/stop/").status_code == 404
    assert boss("post", "models/tiny/evaluate/").json()["code"] == "no_golden_set"


def test_a_file_that_was_altered_is_named(boss, store):  # noqa: F811
    with (store.folder("tiny") / "config.json").open("a") as file:
        file.write(" ")
    refused = boss("post", "models/tiny/verify/")
    assert (refused.status_code, refused.json()["code"]) == (409, "model_refused")
    assert "config.json" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("models/tiny/quantize/", {"recipe": "q2"}, "recipe"),
        ("models/tiny/benchmark/", {"users": [0]}, "users.0"),
        ("models/tiny/benchmark/", {"tokens": 1025}, "tokens"),
        ("models/tiny/benchmark/", {"against": "tiny"}, "against"),
        ("model-imports/", {"entry": "laid", "name": "x"}, "licence"),
    ],
)
def test_a_wrong_request_names_its_field(boss, address, body, field):
    refused = boss("post", address, body)
    assert refused.status_code == 400
    assert field in refused.json()["fields"]
    assert not ModelJob.objects.exists()
