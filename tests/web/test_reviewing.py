"""Opening a text takes two people and tells the third; who saw what; the week."""

import pytest

from assistant import observability
from assistant.audit import services
from assistant.audit.models import AuditPermit

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(people):
    with observability.context(actor=f"user:{people.employee.pk}", role="employee"):
        return services.intent(action="answer.asked", content={"question": "Who earns what?"}).seq


def test_a_text_is_asked_for_agreed_to_opened_and_its_owner_told(as_person, people, asked):
    auditor, boss, owner = (as_person(who) for who in (people.auditor, people.administrator, people.employee))
    assert "Ask for the text" in auditor.get(f"/audit/{asked}/").content.decode()
    auditor.post(f"/audit/{asked}/open/", {"reason": "Complaint of the works council"})
    permit = AuditPermit.objects.get()
    assert 'value="approve"' not in auditor.get("/audit/permits/").content.decode()
    assert 'value="approve"' in boss.get("/audit/permits/").content.decode()
    auditor.post(f"/audit/permits/{permit.pk}/decide/", {"decision": "approve"})
    permit.refresh_from_db()
    assert permit.approved is None
    boss.post(f"/audit/permits/{permit.pk}/decide/", {"decision": "approve"})
    assert "was opened in a review" not in owner.get("/account/").content.decode()
    page = auditor.post(f"/audit/permits/{permit.pk}/open/")
    assert "Who earns what?" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert "was opened in a review" in owner.get("/account/").content.decode()
    body = owner.get("/account/openings/").content.decode()
    assert "Complaint of the works council" in body
    assert people.auditor.email in body
    assert people.administrator.email in body
    owner.post("/account/openings/")
    assert "was opened in a review" not in owner.get("/account/").content.decode()
    assert "Complaint" in owner.get("/account/openings/").content.decode()


def test_who_saw_a_document_and_what_a_person_saw(as_person, people, library):
    as_person(people.employee).get(f"/documents/{library.policy.pk}/pages/1/")
    auditor = as_person(people.auditor)
    body = auditor.get(f"/audit/sights/?document={library.policy.pk}").content.decode()
    assert people.employee.email in body
    assert "pages opened: 1" in body
    body = auditor.get(f"/audit/sights/?person={people.employee.email}").content.decode()
    assert str(library.policy.pk) in body
    assert library.policy.title not in body
    assert people.employee.email not in auditor.get(f"/audit/sights/?document={library.minutes.pk}").content.decode()


def test_the_week_counts_what_happened_and_stays_in_the_address(as_person, people, asked):
    auditor = as_person(people.auditor)
    assert '<th scope="row">Questions asked</th><td>1</td><td>0</td>' in auditor.get("/audit/digest/").content.decode()
    later = auditor.get("/audit/digest/?day=2020-01-01").content.decode()
    assert '<th scope="row">Questions asked</th><td>0</td>' in later
    assert auditor.get("/audit/digest/?day=nonsense").status_code == 200
