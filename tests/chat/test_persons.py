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
from assistant.chat import held, persons, services
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


# --- what a held document keeps ---


@pytest.fixture(params=["document", "collection"])
def keeping(request, people, asked):
    """A hold on what both quote, with the answers of two people."""
    document = asked[0].rests_on.get()
    target = str(document.pk) if request.param == "document" else document.collection.slug
    return holds.place(actor=people.auditor, kind=request.param, target=target, reason=WHY)


def lift(people, row):
    holds.ask_to_lift(actor=people.administrator, hold_id=row.pk, reason=WHY)
    holds.lift(actor=people.auditor, hold_id=row.pk)


def told():
    events = AuditEvent.objects.filter(action="hold.kept").order_by("seq")
    return [(event.target_id, event.outcome, event.detail["asked"], event.detail["conversations"]) for event in events]


def test_a_conversation_that_quotes_a_held_document_outlives_its_time(people, asked, keeping, settings):
    settings.CONVERSATION_RETENTION_DAYS = 30
    nothing = library.asked(people.employee, "How many moons has Jupiter?")
    assert not nothing.rests_on.exists()
    Conversation.objects.update(updated_at=timezone.now() - timedelta(days=31))
    assert services.erase_expired() == 1  # of those three, the one without a word of the document
    assert set(Answer.objects.values_list("pk", flat=True)) == {answer.pk for answer in asked}
    assert "28 euros" in Answer.objects.get(pk=asked[0].pk).text  # readable still
    lift(people, keeping)
    assert services.erase_expired() == 2


def test_whoever_deletes_it_sees_it_go_and_it_is_kept_until_the_hold_is_lifted(people, asked, keeping):
    mine, _ = asked
    services.delete_conversation(actor=people.employee, conversation_id=mine.conversation_id)
    assert not services.conversations(people.employee).exists()
    assert told() == [(str(keeping.pk), "refused", "deletion", [str(mine.conversation_id)])]
    Conversation.objects.filter(deleted_at__isnull=False).update(deleted_at=timezone.now() - timedelta(days=1))
    assert services.erase_deleted() == 0
    assert "28 euros" in Answer.objects.get(pk=mine.pk).text
    lift(people, keeping)
    assert services.erase_deleted() == 1
    assert not Answer.objects.filter(pk=mine.pk).exists()


def test_an_erasure_of_a_person_stops_at_it_and_the_reviewers_are_told(people, asked, keeping):
    mine, _ = asked
    with pytest.raises(Conflict, match="quote what is under legal hold"):
        persons.erase_person(actor=people.administrator, user=people.employee)
    people.employee.refresh_from_db()
    assert people.employee.is_active  # nothing of it was begun
    assert not AuditEvent.objects.filter(action="account.erased").exists()
    assert "28 euros" in Answer.objects.get(pk=mine.pk).text
    assert told() == [(str(keeping.pk), "refused", "erasure", [str(mine.conversation_id)])]
    (view,) = held.described(holds.holds(actor=people.auditor), actor=people.auditor)
    assert (view.conversations, view.asked) == (2, 1)
    assert view.last_asked is not None
    lift(people, keeping)
    (view,) = held.described(holds.holds(actor=people.auditor), actor=people.auditor)
    assert (view.conversations, view.asked) == (0, 1)
    assert persons.erase_person(actor=people.administrator, user=people.employee)["answers"] == 1


def test_a_hold_placed_while_a_person_is_being_erased_keeps_what_is_left(people, asked, monkeypatch):
    """Between the last look and the end: the account goes only when no conversation of it must be kept."""
    mine, _ = asked
    sequences = persons._sequences

    def meanwhile(key):
        target = str(mine.rests_on.get().pk)
        holds.place(actor=people.auditor, kind="document", target=target, reason=WHY)
        return sequences(key)

    erase = services.erase
    monkeypatch.setattr(services, "erase", lambda rows, **_: 0)  # it came before this one's turn
    monkeypatch.setattr(persons, "_sequences", meanwhile)
    with pytest.raises(Conflict, match="quote what is under legal hold"):
        persons.erase_person(actor=people.administrator, user=people.employee)
    assert User.objects.filter(pk=people.employee.pk).exists()
    assert erase(Conversation.objects.filter(owner=people.employee)) == 0
    assert Answer.objects.filter(pk=mine.pk).exists()


def test_another_document_s_deletion_does_not_take_an_answer_that_quotes_a_held_one(people, asked, keeping):
    mine, _ = asked
    free = library.write_document(library.collection("news", "everyone"), "News", ["News\n\nThe canteen is closed."])
    services.withhold([free.pk])  # nothing rests on it yet
    mine.rests_on.add(free)
    with pytest.raises(Conflict, match="legal hold"):
        services.withhold([free.pk])
    lift(people, keeping)
    assert services.withhold([free.pk]) == {"answers_withheld": 1}


def test_the_export_of_a_person_names_what_is_kept_though_deleted(people, asked, keeping):
    mine, _ = asked
    services.delete_conversation(actor=people.employee, conversation_id=mine.conversation_id)
    (conversation,) = persons.export_person(actor=people.employee, user=people.employee)["conversations"]
    assert conversation["id"] == str(mine.conversation_id)
    assert conversation["deleted_at"] is not None
