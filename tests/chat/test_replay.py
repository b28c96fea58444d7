"""From the record of an answer: the same model and passages give the same answer, or the difference is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from assistant.audit import reading
from assistant.audit.models import AuditEvent
from assistant.chat import answering, prompting, replay, replay_requests, services, tasks
from assistant.chat.models import Answer
from assistant.documents import services as documents
from assistant.documents.models import Chunk, Document
from assistant.errors import NotFound, PermissionRefused

from . import library
from .engines import ScriptedModel
from .library import asked

GERMANY = "What is the meal allowance in Germany?"


@pytest.mark.parametrize("question", [GERMANY, "Who won the football world cup in 1974?", "实习生有多少天年假？"])
def test_the_same_engine_and_passages_give_the_same_answer(company, people, question):
    answer = asked(people.employee, question)
    found = replay.replay(answer.pk)
    assert (found.verdict, found.differing) == ("same", ())
    assert found.recorded == found.now
    before = Answer.objects.values().get(pk=answer.pk)
    assert before["text"] == answer.text


def test_follow_ups_are_replayed_in_the_light_of_the_question_before(company, people):
    first = asked(people.employee, GERMANY)
    second = asked(people.employee, "And in France?", conversation_id=first.conversation_id)
    assert replay.replay(second.pk).verdict == "same"


def test_the_index_may_have_changed_meanwhile(company, people):
    answer = asked(people.employee, GERMANY)
    library.write_document(company.handbook, "Travel Policy 2", [page.replace("28", "99") for page in library.TRAVEL])
    assert replay.replay(answer.pk).verdict == "same"


def test_a_model_that_says_something_else_is_told_by_sentence(company, people):
    def model(text):
        return replace(answering.tools(), engine=ScriptedModel(text))

    answer = asked(
        people.employee, GERMANY, tools=model("The allowance is 28 euros per day [1]. Ask your manager [1].")
    )
    same = replay.replay(answer.pk, tools=model("The allowance is 28 euros per day [1]. Ask your manager [1]."))
    assert same.verdict == "same"
    found = replay.replay(answer.pk, tools=model("The allowance is 28 euros per day [1]. Ask nobody [1]."))
    assert (found.verdict, found.reason, found.sentences, found.differing) == ("differs", "text", 2, (2,))
    found = replay.replay(answer.pk)  # the extractive engine now
    assert (found.verdict, found.reason) == ("differs", "engine")


def test_a_model_that_was_asked_in_another_way_is_told_so(company, people, monkeypatch):
    def model(text):
        return replace(answering.tools(), engine=ScriptedModel(text))

    with monkeypatch.context() as earlier:
        earlier.setattr(prompting, "VERSION", "of old")
        answer = asked(people.employee, GERMANY, tools=model("The allowance is 28 euros per day [1]."))
        quoted = asked(people.employee, GERMANY)
    assert replay.replay(answer.pk, tools=model("The allowance is 28 euros per day [1].")).verdict == "same"
    found = replay.replay(answer.pk, tools=model("Per day the allowance is 28 euros [1]."))
    assert (found.verdict, found.reason, found.differing) == ("differs", "prompt", (1,))
    for chunk in Chunk.objects.filter(document=company.travel):
        chunk.text = chunk.text.replace("28 euros", "82 euros")
        chunk.save()
    found = replay.replay(quoted.pk)  # quotations know no prompt
    assert (found.verdict, found.reason) == ("differs", "text")


def test_the_prompt_of_a_replay_is_the_recorded_one_to_the_letter(company, people):
    model = ScriptedModel("The allowance is 28 euros per day [1].")
    tools = replace(answering.tools(), engine=model)
    answer = asked(people.employee, GERMANY, tools=tools)
    replay.replay(answer.pk, tools=tools)
    first, second = model.requests
    assert first.messages == second.messages


def test_an_altered_answer_is_told_from_the_record(company, people):
    answer = asked(people.employee, GERMANY)
    answer.text = answer.text.replace("28", "82")
    answer.save()
    assert replay.replay(answer.pk).verdict == "altered"


def test_the_salt_of_the_recorded_text_is_sealed_with_it_and_goes_with_it(company, people):
    answer = asked(people.employee, GERMANY)
    answer.refresh_from_db()
    salt = answer.text_salt
    assert len(salt) == 32
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM chat_answer")
        stored = [bytes(value) if isinstance(value, memoryview) else value for value in cursor.fetchone()]
    for value in stored:
        assert salt.hex() not in str(value)
        assert not isinstance(value, bytes) or salt not in value
    services.withhold([company.travel.pk])
    answer.refresh_from_db()
    assert (answer.text, answer.text_salt) == ("", b"")


def test_a_salt_from_before_it_was_sealed_becomes_sealed(company, people):
    answer = asked(people.employee, GERMANY)
    answer.refresh_from_db()
    salt, evidence = answer.text_salt, answer.evidence
    Answer.objects.filter(pk=answer.pk).update(text_salt=b"", evidence={**evidence, "salt": salt.hex()})
    for _ in range(2):  # interrupted and called again
        import_module("assistant.chat.migrations.0008_salt_sealed").seal(apps, None)
    answer = Answer.objects.get(pk=answer.pk)
    assert (answer.text_salt, answer.evidence) == (salt, evidence)
    assert replay.replay(answer.pk).verdict == "same"


def test_an_altered_passage_gives_another_answer(company, people):
    answer = asked(people.employee, GERMANY)
    for chunk in Chunk.objects.filter(document=company.travel):
        chunk.text = chunk.text.replace("28 euros", "82 euros")
        chunk.save()
    assert replay.replay(answer.pk).verdict == "differs"


def test_what_is_erased_is_not_replayed(company, people):
    answer = asked(people.employee, GERMANY)
    retrieved = {item["document"] for item in replay_requests.closing_event(answer.pk).detail["retrieved"]}
    unquoted = Document.objects.filter(pk__in=retrieved).exclude(answers=answer).first()
    documents.delete(actor=people.administrator, document=unquoted)
    found = replay.replay(answer.pk)
    assert (found.verdict, found.reason) == ("erased", "passages_erased")
    assert found.missing > 0
    services.withhold([company.travel.pk])
    assert (replay.replay(answer.pk).verdict, replay.replay(answer.pk).reason) == ("erased", "answer_erased")
    Answer.objects.get(pk=answer.pk).conversation.delete()
    assert replay.replay(answer.pk).verdict == "erased"


def test_a_reviewer_lets_a_worker_replay_and_reads_the_verdict_and_no_text(company, people):
    answer = asked(people.employee, GERMANY)
    replay_requests.ask(actor=people.auditor, answer_id=answer.pk)
    assert replay_requests.standing(actor=people.auditor, answer_id=answer.pk).state == "waiting"
    tasks.replay_answer(str(answer.pk), people.auditor.pk)
    event = replay_requests.standing(actor=people.auditor, answer_id=answer.pk).event
    assert (event.outcome, event.detail["verdict"]) == ("success", "same")
    assert "euros" not in json.dumps(event.detail)
    assert event.actor == f"user:{people.auditor.pk}"
    assert reading.verify_log().ok


def test_only_reviewers_replay_and_only_what_was_recorded(company, people):
    answer = asked(people.employee, GERMANY)
    with pytest.raises(PermissionRefused):
        replay_requests.ask(actor=people.employee, answer_id=answer.pk)
    with pytest.raises(PermissionRefused):
        replay.recorded(actor=people.curator, answer_id=answer.pk)
    for wrong in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        with pytest.raises(NotFound):
            replay_requests.ask(actor=people.auditor, answer_id=wrong)


def test_the_command_tells_the_verdict_and_fails_unless_it_is_the_same(company, people, capsys):
    answer = asked(people.employee, GERMANY)
    call_command("audit_replay", str(answer.pk), "--as", people.auditor.email, "--json")
    assert json.loads(capsys.readouterr().out)["verdict"] == "same"
    answer.text = "x"
    answer.save()
    with pytest.raises(SystemExit):
        call_command("audit_replay", str(answer.pk), "--as", people.auditor.email)
    assert "not the one that was recorded" in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("audit_replay", str(answer.pk), "--as", people.employee.email)


def test_the_record_names_the_versions_of_everything(company, people):
    detail = AuditEvent.objects.get(action="answer.shown", target_id=str(asked(people.employee, GERMANY).pk)).detail
    assert detail["code"].startswith("0.1.0+")
    named = {"prompt", "embedding", "index_seq", "engine", "model", "model_files", "timings", "text", "threshold"}
    assert named <= set(detail)


def test_a_reviewer_lets_a_worker_replay_an_answer_and_reads_the_verdict(company, people):
    answer = asked(people.employee, GERMANY)
    auditor = Client()
    auditor.force_login(people.auditor)
    page, rest = f"/audit/answers/{answer.pk}/", f"/api/v1/audit/answers/{answer.pk}/replay/"
    event = AuditEvent.objects.get(action="answer.shown", target_id=str(answer.pk))
    assert page in auditor.get(f"/audit/{event.seq}/").content.decode()
    assert "Nobody has replayed this answer yet." in auditor.get(page).content.decode()
    assert auditor.get(rest).json()["state"] == "none"
    assert auditor.post(page)["Location"] == page
    waiting = auditor.get(page).content.decode()
    assert "a worker is at it" in waiting
    assert "data-busy" in waiting
    tasks.replay_answer(str(answer.pk), people.auditor.pk)  # as the worker does
    done = auditor.get(page).content.decode()
    assert "word for word" in done
    assert "28 euros" not in done
    assert GERMANY not in done
    told = auditor.get(rest).json()
    assert (told["state"], told["verdict"], told["differing"]) == ("done", "same", [])
    assert told["recorded"] == told["now"]
    assert auditor.post(rest, content_type="application/json").json()["state"] == "waiting"


def test_only_reviewers_replay_and_unknown_answers_are_told_as_such(company, people):
    answer = asked(people.employee, GERMANY)
    owner, auditor = Client(), Client()
    owner.force_login(people.employee)
    auditor.force_login(people.auditor)
    assert owner.get(f"/audit/answers/{answer.pk}/").status_code == 403
    assert owner.post(f"/api/v1/audit/answers/{answer.pk}/replay/").status_code == 403
    assert auditor.get(f"/audit/answers/{uuid4()}/").status_code == 404
    assert auditor.post(f"/api/v1/audit/answers/{uuid4()}/replay/").status_code == 404
