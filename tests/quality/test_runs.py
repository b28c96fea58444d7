"""The golden set: written, asked in the rights it names, kept as numbers, held against the reference."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from django.utils import timezone

from assistant import observability
from assistant.accounts.models import User
from assistant.audit import digests
from assistant.audit.models import AuditEvent
from assistant.chat.models import Answer, Conversation, DailyQuestions
from assistant.demo import company as company_of_the_demo
from assistant.errors import Conflict, Invalid, PermissionRefused
from assistant.quality import running, services, tasks
from assistant.quality.models import GoldenRun, GoldenSet, RunStatus, Why
from assistant.runtime import demo_company, diagnosis
from tests.chat.library import grant
from tests.chat.questions import question

from .conftest import GERMANY, TEXT


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("seq"))


def finished(why: Why = Why.HAND) -> GoldenRun:
    run = services.begin(why)
    while running.carry_on(run.pk, seconds=600):
        pass
    run.refresh_from_db()
    assert run.status == RunStatus.DONE, run.error
    return run


def test_a_run_judges_answers_places_silence_and_leaks_and_keeps_numbers_alone(golden):
    run = finished()
    found = run.summary
    assert (found["questions"], found["answerable"], found["unanswerable"]) == (5, 4, 1)
    assert found["in_first_sentence"] == found["right_page"] == found["abstained"] == found["silence"] == 1.0
    assert found["recall"] == found["grounded"] == 1.0
    assert 0 < found["bleu"] < found["rouge_l"] < 1
    assert (found["denied_asked"], found["leaks"]) == (1, 0)
    assert (run.engine, run.reference, run.alarm, len(run.marks)) == ("extractive", True, False, 5)
    kept = json.dumps([run.marks, run.summary, run.drift, [event.detail for event in AuditEvent.objects.all()]])
    assert "28 euros" not in kept
    assert "salary" not in kept.casefold()


def test_it_leaves_nothing_in_anybodys_conversations_and_counts_against_no_day(golden):
    finished()
    assert not Conversation.objects.exists()
    assert not Answer.objects.exists()
    assert not DailyQuestions.objects.exists()
    assert [event.outcome for event in events("golden.run")] == ["intent", "success"]


def test_a_leak_raises_the_alarm_at_once(golden, company, people):
    grant(company.hr.scopes.get(key=""), people.outsider)
    run = finished()
    assert run.alarm
    assert run.summary["leaks"] == 1
    assert services.alarm() == run
    assert events("golden.drifted")[0].detail["leaks"] == 1


def test_answers_that_become_worse_raise_the_alarm_and_one_reference_later_it_is_quiet(company, people):
    rows = [question(n, GERMANY, answers=["28 euros"], document="Travel Policy", page=1) for n in range(12)]
    services.write(actor=people.administrator, text="\n".join(map(json.dumps, rows)))
    assert not finished().alarm
    company.handbook.scopes.get(key="").grants.all().delete()
    run = finished()
    assert run.alarm
    assert {change["measure"] for change in run.drift if change["alarm"]} >= {"ndcg", "second", "silence"}
    assert set(events("golden.drifted")[0].detail["measures"]) >= {"second"}
    services.choose_reference(actor=people.administrator, run_id=run.pk)
    assert services.alarm() is None
    assert not finished().alarm
    assert len(events("golden.drifted")) == 1


def test_a_run_goes_on_where_a_slice_ended(golden, monkeypatch):
    clock, asked = [0.0], []
    judge = running.Asker.mark

    def mark(asker, row):
        clock[0] += 1.0
        asked.append(row.id)
        return judge(asker, row)

    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(running.Asker, "mark", mark)
    run = services.begin(Why.HAND)
    assert [running.carry_on(run.pk, seconds=2) for _ in range(4)] == [True, True, False, False]
    assert asked == ["q1", "q2", "q3", "q4", "q5"]
    run.refresh_from_db()
    assert (run.status, run.summary["in_first_sentence"]) == (RunStatus.DONE, 1.0)


def test_a_task_in_other_hands_leaves_quietly(golden):
    run = services.begin(Why.HAND)
    GoldenRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() + timezone.timedelta(seconds=60))
    tasks.run(run.pk)
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED
    tasks.run(run.pk + 1)


def test_a_person_who_left_ends_the_run_with_a_sentence(golden, people):
    User.objects.filter(pk=people.employee.pk).update(is_active=False)
    run = services.begin(Why.HAND)
    running.carry_on(run.pk)
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED
    assert "no active person" in run.error
    assert events("golden.run")[-1].outcome == "failed"


def test_only_the_newest_questions_are_kept_and_history_begins_anew(golden, people):
    finished()
    more = f"{TEXT}\n{json.dumps(question(9, 'Who?', answers=['I']))}"
    changed = services.write(actor=people.administrator, text=more)
    assert changed.pk != golden.pk
    golden.refresh_from_db()
    assert golden.text == ""
    assert services.write(actor=people.administrator, text=changed.text).pk == changed.pk
    assert services.latest() is None
    assert [event.detail["questions"] for event in events("golden.changed")] == [5, 6]
    emails = {row.asker for row in services.rows(services.golden())}
    asked_as = {f"user:{key}" for key in User.objects.filter(email__in=emails).values_list("pk", flat=True)}
    assert asked_as
    assert asked_as <= set(events("golden.changed")[-1].detail["asked_as"])


def test_the_questions_are_sealed_in_the_database(golden):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM quality_goldenset")
        stored = bytes(cursor.fetchone()[0])
    assert b"allowance" not in stored
    assert "allowance" in GoldenSet.objects.get().text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "1 to"),
        ([question(1, "")], "characters"),
        ([question(1, GERMANY)], "no expected answer"),
        ([question(1, GERMANY, answers=["x"]), question(1, GERMANY, answers=["x"])], "twice"),
        ([question(1, GERMANY, answers=["x"], follows="q7")], "does not stand before it"),
        ([question(1, GERMANY, answers=["x"], denied=["nobody@company.example"])], "nobody@company.example"),
        ([{"id": 1}], "line 1"),
        (["no object"], "line 1"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused_with_their_number(people, rows, words):
    with pytest.raises(Invalid, match=words):
        services.write(actor=people.administrator, text="\n".join(map(json.dumps, rows)))
    assert services.golden() is None


def test_only_administrators_write_start_and_choose(golden, people):
    for act in (
        lambda actor: services.write(actor=actor, text=TEXT),
        lambda actor: services.start(actor=actor),
        lambda actor: services.choose(actor=actor, every="day"),
        lambda actor: services.run_of(actor=actor, run_id=1),
        lambda actor: services.choose_reference(actor=actor, run_id=1),
    ):
        for actor in (people.employee, people.curator, people.auditor):
            with pytest.raises(PermissionRefused):
                act(actor)


def test_the_demo_company_brings_a_golden_set(db):
    for person in company_of_the_demo.PEOPLE:
        User.objects.create(email=person.email, role=person.role, name=person.name)
    made = services.replace(demo_company.QUESTIONS.read_text(encoding="utf-8"))
    assert made.questions == len(services.rows(made)) > 100


def test_without_questions_nothing_is_run(people):
    with pytest.raises(Conflict, match="no golden set"):
        services.start(actor=people.administrator)


def test_the_schedule_begins_a_run_when_its_time_has_come(golden, people, monkeypatch):
    sent = []
    monkeypatch.setattr(services, "send", sent.append)
    tasks.look()
    assert not GoldenRun.objects.exists()  # the set is new: a week has not passed
    GoldenSet.objects.update(at=timezone.now() - timezone.timedelta(days=8))
    tasks.look()
    run = GoldenRun.objects.get()
    assert (run.why, sent[0]) == (Why.SCHEDULE, run.pk)
    tasks.look()
    assert GoldenRun.objects.count() == 1
    assert set(sent) == {run.pk}  # nobody works on it: told again
    with observability.context(actor="user:1"):
        services.choose(actor=people.administrator, every="never")
    GoldenRun.objects.all().delete()
    tasks.look()
    assert not GoldenRun.objects.exists()
    assert events("setting.changed")[0].detail["every"] == "never"


@pytest.mark.usefixtures("noon")
def test_an_alarm_is_told_wherever_an_operator_looks(golden, company, people, client):
    grant(company.hr.scopes.get(key=""), people.outsider)
    assert client.get("/readyz").json()["warnings"] == []
    run = finished()
    assert client.get("/readyz").json()["warnings"] == ["golden_set_alarm"]
    told = client.get("/metrics").content.decode()
    assert "assistant_golden_alarm 1.0" in told
    assert 'assistant_golden_score{measure="ndcg"} ' in told
    findings = {finding.id: finding for finding in diagnosis._quality()}
    assert (findings["quality.golden"].level, str(run.pk) in findings["quality.golden"].words) == ("warning", True)
    week = digests.week(timezone.localdate())
    assert [event.action for event in week.notable] == ["golden.drifted"]
    assert {line.name: line.now for line in week.lines}["drifted"] == 1
