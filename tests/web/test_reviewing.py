"""Opening a text takes two people and tells the third; who saw what; the week."""

import pytest

from assistant import observability
from assistant.audit import reading, services
from assistant.audit.models import AuditEvent, AuditPermit, AuditQuery
from tests.audit.test_retention import aged  # noqa: F401  (fixture)

from .conftest import make_collection, make_document

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
    assert people.employee.email not in auditor.get(f"/audit/sights/?document={library.minutes.pk}").content.decode()


def test_a_document_is_found_by_words_of_a_title_that_the_reviewer_may_see(as_person, people, library):
    other = make_document(library.handbook, "Travel expenses of the board")
    secret = make_document(make_collection("sealed", "Sealed"), "Travel to a secret place")
    as_person(people.employee).get(f"/documents/{library.policy.pk}/pages/1/")
    auditor = as_person(people.auditor)
    one = auditor.get("/audit/sights/?document=travel+POLICY").content.decode()
    assert "pages opened: 1" in one
    assert library.policy.title in one
    several = auditor.get("/audit/sights/?document=travel").content.decode()
    assert f"document={library.policy.pk}" in several
    assert f"document={other.pk}" in several
    assert "pages opened" not in several
    for words in ("secret place", str(secret.pk)):  # not to be read by the reviewer: neither found nor named
        assert secret.title not in auditor.get("/audit/sights/", {"document": words}).content.decode()
    seen = auditor.get("/audit/sights/", {"person": people.employee.email}).content.decode()
    assert library.policy.title in seen
    address = f"https://assistant.example/documents/{library.policy.pk}/pages/1/"
    assert "pages opened: 1" in auditor.get("/audit/sights/", {"document": address}).content.decode()


def test_the_same_titles_are_not_looked_up_for_who_does_not_review(as_person, people, library):
    assert as_person(people.employee).get("/audit/sights/?document=travel").status_code == 403
    assert (
        "Who saw this document"
        not in as_person(people.employee).get(f"/documents/{library.policy.pk}/").content.decode()
    )
    assert "Who saw this document" in as_person(people.auditor).get(f"/documents/{library.policy.pk}/").content.decode()


@pytest.mark.usefixtures("noon")
def test_the_week_counts_what_happened_and_stays_in_the_address(as_person, people, asked):
    auditor = as_person(people.auditor)
    assert (
        '<th scope="row">Questions asked</th><td class="number">1</td><td class="number">0</td>'
        in auditor.get("/audit/digest/").content.decode()
    )
    later = auditor.get("/audit/digest/?day=2020-01-01").content.decode()
    assert '<th scope="row">Questions asked</th><td class="number">0</td>' in later
    assert auditor.get("/audit/digest/?day=nonsense").status_code == 200


def test_a_search_is_kept_under_a_name_opened_and_removed(as_person, people, asked):
    auditor = as_person(people.auditor)
    assert "Keep this search" not in auditor.get("/audit/").content.decode()
    query = f"person={people.employee.email}&action=answer.asked&page=1&evil=<b>"
    page = auditor.get(f"/audit/?{query}").content.decode()
    assert "Keep this search" in page
    kept = auditor.post("/audit/searches/", {"name": "Questions", "query": query})
    assert kept["Location"].startswith("/audit/?person=")
    assert "evil" not in kept["Location"]
    opened = auditor.get(kept["Location"]).content.decode()
    assert "Question asked" in opened
    assert f'href="?{AuditQuery.objects.get().query.replace("&", "&amp;")}"' in opened
    listed = auditor.get("/audit/searches/").content.decode()
    assert "person: employee@company.example" in listed
    assert "what: Question asked</span>" in listed
    assert "Questions" not in as_person(people.administrator).get("/audit/searches/").content.decode()
    assert as_person(people.administrator).post("/audit/searches/1/remove/").status_code == 404
    auditor.post(f"/audit/searches/{AuditQuery.objects.get().pk}/remove/")
    assert AuditQuery.objects.count() == 0
    recorded = AuditEvent.objects.values_list("action", flat=True)
    assert {"audit.query_saved", "audit.query_removed"} <= set(recorded)


def test_what_is_on_record_is_shown_as_lines_to_read(as_person, people):
    retrieved = [{"chunk": 7, "page": 1, "score": 0.5}, {"chunk": 9, "page": 2, "score": 0.25}]
    detail = {"retrieved": retrieved, "timings": {"search": 31, "total": 140}, "dropped": [], "shown": [7, 9]}
    event = services.record(action="search.shown", detail={**detail, "ok": True})
    body = as_person(people.auditor).get(f"/audit/{event.seq}/").content.decode()
    assert "chunk 7, page 1, score 0.5<br>chunk 9, page 2, score 0.25</dd>" in body
    assert "search 31, total 140</dd>" in body
    assert ">7, 9</dd>" in body
    for name, words in (("ok", "true"), ("dropped", "[]")):
        assert f'<code>{name}</code></dt><dd class="mono">{words}</dd>' in body


def test_a_search_without_a_filter_or_a_name_is_told_and_not_kept(as_person, people):
    auditor = as_person(people.auditor)
    empty = auditor.post("/audit/searches/", {"name": "All", "query": "page=2"})
    assert empty.status_code == 400
    assert "No filter is set." in empty.content.decode()
    assert auditor.post("/audit/searches/", {"name": "", "query": "outcome=failed"}).status_code == 400
    assert AuditQuery.objects.count() == 0


def test_old_events_are_removed_by_two_people_on_pages(as_person, people, aged):  # noqa: F811
    aged(500, 10)
    auditor, boss = as_person(people.auditor), as_person(people.administrator)
    page = auditor.get("/audit/pruning/").content.decode()
    assert "events 1 to 4" in page
    assert "events 5 to 8" not in page  # too young
    assert auditor.post("/audit/pruning/", {"last": "8", "reason": "Their time is over"}).status_code == 400
    assert auditor.post("/audit/pruning/", {"last": "4", "reason": "short"}).status_code == 400
    reply = auditor.post("/audit/pruning/", {"last": "4", "reason": "Their time is over"})
    assert reply["Location"] == "/audit/permits/"
    permit = AuditPermit.objects.get()
    button = "Remove these events now"
    assert button not in auditor.get("/audit/permits/").content.decode()
    boss.post(f"/audit/permits/{permit.pk}/decide/", {"decision": "approve"})
    assert button in auditor.get("/audit/permits/").content.decode()
    assert button not in boss.get("/audit/permits/").content.decode()
    assert boss.post(f"/audit/permits/{permit.pk}/prune/").status_code == 404
    auditor.post(f"/audit/permits/{permit.pk}/prune/")
    assert AuditEvent.objects.order_by("seq").first().seq == 5
    assert button not in auditor.get("/audit/permits/").content.decode()
    page = auditor.get("/audit/pruning/").content.decode()
    assert "Nothing may go yet" in page
    assert "events 1 to 4" in page  # among those removed
    assert reading.verify_log().ok
