"""The page of legal holds: what each duty can do there, and what it says."""

import pytest

from assistant.chat.models import Answer, Conversation
from assistant.documents.models import LegalHold

pytestmark = pytest.mark.django_db
WHY = "Court order 12/2026"


def test_a_hold_is_placed_asked_to_be_lifted_and_lifted_by_the_other_duty(as_person, people, library):
    auditor, boss = as_person(people.auditor), as_person(people.administrator)
    address = f"http://testserver/documents/{library.policy.pk}/pages/1/?from=3"
    assert auditor.post("/holds/", {"kind": "document", "target": address, "reason": WHY}).status_code == 302
    hold = LegalHold.objects.get()
    assert (hold.kind, hold.target) == ("document", str(library.policy.pk))
    body = auditor.get("/holds/").content.decode()
    assert WHY in body
    assert people.auditor.email in body
    assert library.policy.title not in body  # a title is a text
    assert f"/holds/{hold.pk}/ask/" not in body
    assert f"/holds/{hold.pk}/lift/" not in body
    assert f"/holds/{hold.pk}/ask/" in boss.get("/holds/").content.decode()
    assert "Say why it need not" in boss.post(f"/holds/{hold.pk}/ask/", {"reason": "no"}, follow=True).content.decode()
    boss.post(f"/holds/{hold.pk}/ask/", {"reason": "The case is closed"})
    assert f"/holds/{hold.pk}/lift/" not in boss.get("/holds/").content.decode()
    body = auditor.get("/holds/").content.decode()
    assert "The case is closed" in body
    assert f"/holds/{hold.pk}/lift/" in body
    auditor.post(f"/holds/{hold.pk}/lift/")
    hold.refresh_from_db()
    assert hold.lifted_at
    assert "lifted by" in auditor.get("/holds/").content.decode()


def test_a_held_document_says_so_when_somebody_deletes_it(as_person, people, library):
    as_person(people.auditor).post("/holds/", {"kind": "collection", "target": "handbook", "reason": WHY})
    boss = as_person(people.administrator)
    body = boss.post(f"/documents/{library.policy.pk}/delete/", follow=True).content.decode()
    assert "legal hold" in body


def test_the_page_says_what_a_hold_keeps_and_that_it_was_to_go(as_person, people, library):
    answer = Answer.objects.create(
        conversation=Conversation.objects.create(owner=people.employee), owner=people.employee, question="How much?"
    )
    answer.rests_on.add(library.policy)
    auditor = as_person(people.auditor)
    auditor.post("/holds/", {"kind": "document", "target": str(library.policy.pk), "reason": WHY})
    assert "It keeps 1 conversation." in auditor.get("/holds/").content.decode()
    as_person(people.employee).post(f"/conversations/{answer.conversation_id}/delete/")
    boss = as_person(people.administrator)
    body = boss.post(f"/people/{people.employee.pk}/erase/", {"confirm": people.employee.email}).content.decode()
    assert "quote what is under legal hold" in body
    assert "2 times one was to be deleted or erased, and was kept." in auditor.get("/holds/").content.decode()


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("reason", {"kind": "collection", "target": "handbook", "reason": "no"}),
        ("target", {"kind": "person", "target": "nobody@company.example", "reason": WHY}),
        ("kind", {"kind": "planet", "target": "handbook", "reason": WHY}),
    ],
)
def test_a_hold_that_cannot_be_placed_says_what_to_repair(as_person, people, library, field, sent):
    response = as_person(people.auditor).post("/holds/", sent)
    assert response.status_code == 400
    assert list(response.context["form"].errors) == [field]
    assert not LegalHold.objects.exists()
