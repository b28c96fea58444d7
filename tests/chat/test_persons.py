"""One person: everything handed out, everything erased, held, and forgotten by policy."""

import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

from assistant import observability
from assistant.accounts import services as accounts
from assistant.accounts.models import User
from assistant.audit.models import AuditContent, AuditEvent
from assistant.audit.reading import verify_log
from assistant.chat import persons, services
from assistant.chat.models import Answer, Conversation
from assistant.documents import holds
from assistant.errors import Conflict, PermissionRefused
from assistant.vault import ring
from assistant.vault.models import WrappedKey

from . import library

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "court order 12/2026"


@pytest.fixture
def asked(people):
    library.write_document(library.collection("handbook", "everyone"), "Travel", library.TRAVEL)
    with observability.context(actor=f"user:{people.employee.pk}"):
        mine = library.asked(people.employee, "What is the meal allowance in Germany?")
        services.give_feedback(actor=people.employee, answer_id=mine.pk, good=False, reason="too short")
        accounts.issue_token(actor=people.employee, user=people.employee, name="editor")
    other = library.asked(people.outsider, "What is the meal allowance in France?")
    return mine, other


def test_a_person_is_erased_and_others_are_not(people, asked, client):
    mine, other = asked
    client.force_login(people.employee)
    key = people.employee.pk
    receipt = persons.erase_person(actor=people.administrator, user=people.employee)
    assert receipt["conversations"] == receipt["answers"] == receipt["sessions"] == receipt["tokens"] == 1
    assert receipt["audited_texts"] == 1
    assert receipt["keys"] == 1  # the root; the conversation's own went with the conversation
    assert not User.objects.filter(pk=key).exists()
    assert not Answer.objects.filter(pk=mine.pk).exists()
    assert not Session.objects.exists()
    assert services.get_answer(actor=people.outsider, answer_id=other.pk).question.endswith("France?")
    texts = AuditContent.objects.filter(event__actor=f"user:{key}")
    assert texts.exists()
    assert not texts.exclude(ciphertext=None).exists()
    assert ring.destroyed("person") == [str(key)]
    assert WrappedKey.objects.filter(kind="conversation", destroyed_at=None).count() == 1
    assert AuditEvent.objects.filter(action="account.erased", outcome="success").get().detail["answers"] == 1
    assert verify_log().ok


def test_who_may_not_erase_whom(people, asked):
    with pytest.raises(PermissionRefused):
        persons.erase_person(actor=people.curator, user=people.employee)
    with pytest.raises(Conflict, match="Another administrator"):
        persons.erase_person(actor=people.administrator, user=people.administrator)
    with pytest.raises(Conflict, match="last administrator"):
        persons.erase_person(actor=None, user=people.administrator)
    people.administrator.refresh_from_db()
    assert people.administrator.is_active


def test_hold_keeps_a_person_and_their_conversations(people, asked):
    mine, _ = asked
    holds.place(actor=people.auditor, kind="person", target=people.employee.email, reason=WHY)
    for act in (
        lambda: persons.erase_person(actor=people.administrator, user=people.employee),
        lambda: services.delete_conversation(actor=people.employee, conversation_id=mine.conversation_id),
        lambda: services.withhold([mine.rests_on.get().pk]),
    ):
        with pytest.raises(Conflict, match="legal hold"):
            act()
    assert services.erase(Conversation.objects.all()) == 1  # the other person's
    assert Answer.objects.get().pk == mine.pk


def test_export_holds_what_is_kept_and_nobody_else_s(people, asked, tmp_path):
    target = tmp_path / "export.json"
    call_command("export_person", people.employee.email, output=target)
    data = json.loads(target.read_text())
    assert target.stat().st_mode & 0o077 == 0
    assert data["account"]["email"] == people.employee.email
    (conversation,) = data["conversations"]
    (answer,) = conversation["answers"]
    assert answer["question"] == "What is the meal allowance in Germany?"
    assert "28 euros" in answer["citations"][0]["quote"]
    assert answer["feedback_reason"] == "too short"
    assert [token["name"] for token in data["tokens"]] == ["editor"]
    assert {event["action"] for event in data["events"]} >= {"answer.asked", "token.issued"}
    assert "allowance in France?" not in target.read_text()
    assert AuditEvent.objects.filter(action="account.exported").count() == 2
    with pytest.raises(Conflict):
        persons.export_person(actor=people.administrator, user=people.employee)


def test_conversations_are_erased_when_their_time_is_over(people, asked, settings):
    mine, other = asked
    Conversation.objects.filter(pk=mine.conversation_id).update(updated_at=timezone.now() - timedelta(days=31))
    assert services.erase_expired() == 0  # no policy
    settings.CONVERSATION_RETENTION_DAYS = 30
    holds.place(actor=people.auditor, kind="person", target=people.employee.email, reason=WHY)
    assert services.erase_expired() == 0
    row = holds.holds(actor=people.auditor).get()
    holds.ask_to_lift(actor=people.administrator, hold_id=row.pk, reason=WHY)
    holds.lift(actor=people.auditor, hold_id=row.pk)
    assert services.erase_expired() == 1
    assert Answer.objects.get().pk == other.pk
    assert AuditEvent.objects.get(action="conversation.erased").detail["reason"] == "retention"


def test_command_erases_after_asking(people, asked, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: people.employee.email)
    call_command("erase_person", people.employee.email)
    assert json.loads(capsys.readouterr().out)["conversations"] == 1
