"""A model answers only after its evaluation is on record, or with a reason that is."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from assistant import engines
from assistant.audit import keys
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent
from assistant.chat.models import Answer
from assistant.errors import Conflict, Invalid, PermissionRefused
from assistant.quality import gate, running, services
from assistant.quality.models import GoldenRun, RunStatus, Why
from assistant.registry import activation
from assistant.registry.activation import Grounds
from inference.errors import ModelNotFound
from tests.chat.questions import question
from tests.inference.models.conftest import qwen2_folder  # noqa: F401  (a fixture)
from tests.models.conftest import store, switch  # noqa: F401  (fixtures)

from .conftest import TEXT

REASON = "measured by the vendor, report 17"


def measured(name: str = "tiny", recipe: str = "none") -> GoldenRun:
    questions = services.golden()
    digest = engines.store().manifest(name).digest
    assert questions is not None
    return GoldenRun.objects.create(
        questions=questions, why=Why.ACTIVATION, status=RunStatus.DONE, model=name, digest=digest, recipe=recipe
    )


@pytest.fixture
def asked(people):
    return services.replace(json.dumps(question(1, "Who?", answers=["I"])))


def test_without_an_evaluation_it_is_refused_with_what_to_do(store, people, asked):  # noqa: F811
    with pytest.raises(
        Conflict, match=r"Evaluate it on the page “Models” \(or with .*models activate NAME --evaluate"
    ) as refusal:
        gate.activate(actor=people.administrator, name="tiny", quantization="none")
    assert refusal.value.code == "not_evaluated"
    assert activation.current() is None


def test_without_a_golden_set_it_says_that_one_is_needed(store, people):  # noqa: F811
    with pytest.raises(Conflict, match="no golden set to evaluate"):
        gate.activate(actor=people.administrator, name="tiny")


def test_with_an_evaluation_of_these_files_this_recipe_and_these_questions_it_answers(store, people, asked):  # noqa: F811
    measured(recipe="int8")
    with pytest.raises(Conflict):
        gate.activate(actor=people.administrator, name="tiny", quantization="none")
    run = measured()
    assert gate.activate(actor=people.administrator, name="tiny", quantization="none").name == "tiny"
    assert AuditEvent.objects.get(action="model.changed").detail["evaluation"] == run.pk
    services.replace(json.dumps(question(2, "Which?", answers=["this"])))
    with pytest.raises(Conflict):  # the questions have changed since
        gate.activate(actor=people.administrator, name="tiny", quantization="none")


def test_an_unfinished_or_failed_run_is_no_evaluation(store, people, asked):  # noqa: F811
    for status in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.FAILED):
        run = measured()
        GoldenRun.objects.filter(pk=run.pk).update(status=status)
    with pytest.raises(Conflict):
        gate.activate(actor=people.administrator, name="tiny", quantization="none")


def test_with_a_reason_it_answers_and_the_reason_is_on_record(store, people):  # noqa: F811
    with pytest.raises(Invalid, match="at least"):
        gate.activate(actor=people.administrator, name="tiny", reason="why not")
    gate.activate(actor=people.administrator, name="tiny", reason=REASON)
    event = AuditEvent.objects.get(action="model.changed")
    said = keys.decrypt(audit.current_keys(), seq=event.seq, ciphertext=bytes(event.content.ciphertext))
    assert json.loads(said) == {"reason": REASON}
    assert event.detail["evaluation"] == 0


def test_a_model_that_left_most_questions_to_quotations_was_not_evaluated(store, people, asked):  # noqa: F811
    run = measured()
    GoldenRun.objects.filter(pk=run.pk).update(summary={"questions": 1, "fallbacks": 1})
    with pytest.raises(Conflict, match="half of it itself"):
        gate.activate(actor=people.administrator, name="tiny", quantization="none")


def test_others_activate_nothing_and_grounds_are_never_empty(store, people):  # noqa: F811
    with pytest.raises(PermissionRefused):
        gate.activate(actor=people.curator, name="tiny", reason=REASON)
    with pytest.raises(ValueError, match="evaluation"):
        Grounds()
    with pytest.raises(ModelNotFound):
        gate.activate(actor=people.administrator, name="absent", reason=REASON)


def test_activate_evaluate_does_both(store, switch, company):  # noqa: F811
    services.replace(TEXT)
    out, err = io.StringIO(), io.StringIO()
    arguments = ("models", "activate", "tiny", "--quantization", "none")
    with pytest.raises(CommandError, match="was not evaluated"):
        call_command(*arguments, stdout=out, stderr=err)
    call_command(*arguments, "--evaluate", stdout=out, stderr=err)
    run = GoldenRun.objects.get()
    told = json.loads(out.getvalue().splitlines()[0])
    assert (told["run"], told["questions"]) == (run.pk, 5)
    assert (run.why, run.status, run.engine, run.digest) == (
        Why.ACTIVATION, RunStatus.DONE, "transformers", store.manifest("tiny").digest,
    )  # fmt: skip
    assert run.summary["leaks"] == 0
    row = activation.current()
    assert row is not None
    assert (row.name, row.quantization) == ("tiny", "none")
    assert "5 of 5" in err.getvalue()
    assert not Answer.objects.exists()


def test_a_measurement_that_is_broken_off_is_no_evaluation(store, switch, company, monkeypatch):  # noqa: F811
    services.replace(TEXT)

    def stop(self, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(running.Asker, "mark", stop)
    with pytest.raises(KeyboardInterrupt):
        running.candidate("tiny", "none", tell=lambda done, count: None)
    assert GoldenRun.objects.get().status == RunStatus.FAILED
    assert gate.evaluation(store.manifest("tiny").digest, "none") is None
