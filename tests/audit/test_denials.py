"""Whoever is turned away is on record, once a minute for each person, rule and kind; and stays turned away whatever
happens to the record."""

from __future__ import annotations

from uuid import uuid4

import pytest
import redis
from django.test import Client
from django.utils import timezone

from assistant import observability
from assistant.audit import denials, digests, services, tasks
from assistant.audit.models import AuditEvent, AuditPermit
from assistant.transport import redis_client
from tests.api.test_accounts import Api
from tests.audit.locked import locked_log
from tests.web.conftest import answered, library  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def recorded():
    return list(AuditEvent.objects.filter(action="access.denied").order_by("seq"))


def only():
    (event,) = recorded()
    return event


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def minute_over(monkeypatch):
    """Counted denials are due at once."""
    monkeypatch.setattr(denials, "WINDOW_SECONDS", 0)


# --- who, what, from where ---


def test_a_role_without_the_duty_is_on_record_with_everything_an_auditor_asks(people):
    api = Api(people.employee)
    answer = api.client.get(f"/api/v1/users/{people.curator.pk}/", REMOTE_ADDR="10.1.2.3")
    event = only()
    assert answer.status_code == 403
    assert (event.actor, event.role, event.outcome) == (f"user:{people.employee.pk}", "employee", "refused")
    assert event.session == f"token:{people.employee.tokens.get().pk}"
    assert (event.origin, event.request_id) == ("10.1.2.3", answer["X-Request-ID"])
    assert (event.target_type, event.target_id) == ("person", str(people.curator.pk))
    assert event.detail == {
        "rule": "permission_refused", "status": 403, "address": "api-user", "method": "GET", "count": 1
    }  # fmt: skip


def test_forbidden_and_absent_leave_the_same_event_but_for_the_id(people, library):  # noqa: F811
    api = Api(people.employee)
    left = []
    for pk in (library.minutes.pk, uuid4()):
        redis_client().flushall()
        api("get", f"documents/{pk}/")
        event = recorded()[-1]
        assert (event.target_type, event.target_id) == ("document", str(pk))
        left.append((event.actor, event.role, event.session, event.origin, event.outcome, event.detail))
    assert left[0] == left[1]
    assert left[0][-1]["rule"] == "not_found"


def test_a_wrong_token_is_on_record_by_where_it_came_from(client):
    client.get("/api/v1/documents/", headers={"Authorization": "Bearer pa_nonsense"}, REMOTE_ADDR="10.9.9.9")
    event = only()
    assert (event.actor, event.origin, event.detail["rule"]) == ("anonymous", "10.9.9.9", "not_authenticated")


def test_a_token_without_the_scope_is_on_record(people):
    Api(people.auditor, scopes=["read"])("get", "audit/events/")
    assert (only().detail["rule"], only().target_type) == ("permission_refused", "audit")


@pytest.mark.parametrize("path", ["/people/", "/audit/", "/health/"])
def test_a_page_of_somebody_elses_duty_is_on_record(people, path):
    assert signed_in(people.employee).get(path).status_code == 403
    event = only()
    assert event.session
    assert event.detail["status"] == 403


def test_another_persons_conversation_is_on_record(people, answered):  # noqa: F811
    assert signed_in(people.outsider).get(f"/conversations/{answered.conversation_id}/").status_code == 404
    assert (only().target_type, only().target_id) == ("conversation", str(answered.conversation_id))


def test_a_form_from_another_site_is_on_record(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.employee)
    assert client.post("/", {"question": "How much?"}).status_code == 403
    assert only().detail["rule"] == "stale_form"


def test_the_openai_address_records_too(people):
    client = Api(people.employee).client
    assert client.get("/v1/models/other").status_code == 404  # a mistyped name is nobody's secret
    assert recorded() == []
    assert Client().get("/v1/models").status_code == 401
    assert only().detail["address"] == "openai-models"


def test_an_answer_that_rests_on_what_one_may_no_longer_read_is_on_record(people, answered, library):  # noqa: F811
    library.handbook.scopes.get().grants.all().delete()
    body = signed_in(people.employee).get(f"/conversations/{answered.conversation_id}/").content.decode()
    assert "28 euros" not in body
    assert (only().target_id, only().detail["rule"]) == (str(answered.pk), "access_changed")


def test_trying_alone_what_takes_two_people_is_on_record(people):
    with observability.context(actor=f"user:{people.employee.pk}"):
        seq = services.intent(action="answer.asked", content={"question": "Who earns what?"}).seq
    client = signed_in(people.auditor)
    client.post(f"/audit/{seq}/open/", {"reason": "Complaint of somebody"})
    client.post(f"/audit/permits/{AuditPermit.objects.get().pk}/decide/", {"decision": "approve"})
    assert only().detail["rule"] == "second_person"


def test_a_door_closed_after_too_many_attempts_is_on_record(client, people):
    for _ in range(7):
        answer = client.post(LOGIN, {"login": people.employee.email, "password": "wrong"})
        assert answer.status_code in {200, 429}
    refused = AuditEvent.objects.filter(action="auth.refused").count()
    assert refused == 5
    assert (only().detail["rule"], only().target_type) == ("too_many_attempts", "session")


def test_a_rate_and_a_full_queue_are_on_record(people, library, settings):  # noqa: F811
    settings.API_RATE = "1/hour"
    api = Api(people.employee)
    assert [api("get", "documents/").status_code for _ in range(2)] == [200, 429]
    assert only().detail["rule"] == "too_many_requests"
    settings.ANSWER_QUEUE_LIMIT = 2
    client = signed_in(people.curator)
    client.post("/", {"question": "First question?"})
    assert client.post("/", {"question": "Second question?"}).status_code == 400  # told at the form
    assert recorded()[-1].detail["rule"] == "too_many_questions"


def test_what_is_no_denial_is_not_recorded(people, library):  # noqa: F811
    assert Client().get("/library/").status_code == 302  # asked to sign in
    client = signed_in(people.curator)
    assert client.get("/nowhere/at/all/").status_code == 404
    assert Client().get("/api/v1/nowhere/").status_code == 404
    client.post("/library/handbook/access/", {"principal": "user:ghost@company.example", "access": "reader"})
    assert recorded() == []


def test_what_was_typed_into_an_address_stays_out_unless_it_looks_like_an_id():
    denials.note(denials.Denial("not_found", 404, "model", "my salary is 5"))
    assert only().target_id == ""


# --- bounded ---


def test_a_flood_is_one_event_and_one_count(people, library, minute_over):  # noqa: F811
    api = Api(people.employee)
    wanted = [str(uuid4()) for _ in range(60)]
    for pk in wanted:
        assert api("get", f"documents/{pk}/").status_code == 404
    assert only().detail["count"] == 1
    tasks.denials()
    first, counted = recorded()
    assert (counted.detail["count"], counted.actor, counted.session) == (59, first.actor, first.session)
    assert counted.request_id == first.request_id
    assert len(counted.detail["asked"]) == 20
    assert set(counted.detail["asked"]) <= set(wanted[1:])
    tasks.denials()
    assert len(recorded()) == 2


def test_within_the_minute_nothing_is_counted_out(people):
    api = Api(people.employee)
    for _ in range(3):
        api("get", "users/")
    assert denials.record_counted() == 0
    assert only().detail["count"] == 1


def test_each_person_rule_and_kind_has_its_own_minute(people, library):  # noqa: F811
    for persona in (people.employee, people.outsider):
        api = Api(persona)
        for _ in range(2):
            for path in ("users/", "teams/", f"documents/{uuid4()}/"):
                api("get", path)
    assert len(recorded()) == 6


def test_many_addresses_together_have_one_bound(client, minute_over):
    for at in range(denials.ANONYMOUS_ROOM.most + 20):
        client.get("/api/v1/documents/", REMOTE_ADDR=f"10.0.0.{at}")
    assert len(recorded()) == denials.ANONYMOUS_ROOM.most
    tasks.denials()
    (rest,) = recorded()[denials.ANONYMOUS_ROOM.most :]
    assert (rest.detail["count"], rest.origin, rest.actor) == (20, "", "anonymous")


def test_without_redis_each_process_counts_for_itself(people, monkeypatch):
    lost = redis.Redis(unix_socket_path="/nowhere/redis.sock")
    monkeypatch.setattr(denials, "redis_client", lambda: lost)
    monkeypatch.setattr(denials, "_local", denials._Local())
    api = Api(people.employee)
    assert {api("get", "users/").status_code for _ in range(5)} == {403}
    assert only().detail["count"] == 1
    monkeypatch.setattr(denials, "WINDOW_SECONDS", 0)
    api("get", "users/")
    assert recorded()[-1].detail["count"] == 5


@pytest.mark.usefixtures("noon")
def test_the_week_counts_denials_and_not_their_events(people, minute_over):
    api = Api(people.employee)
    for _ in range(10):
        api("get", "users/")
    tasks.denials()
    week = digests.week(timezone.localdate())
    assert {line.name: line.now for line in week.lines}["denied"] == 10
    assert week.turned_away == ((f"user:{people.employee.pk}", 10),)


# --- the record is away ---


@pytest.mark.django_db(transaction=True)
def test_a_refusal_stays_one_while_the_log_cannot_be_written_and_is_recorded_after(people, library, minute_over):  # noqa: F811
    api = Api(people.employee)
    with locked_log():
        answer = api("get", f"documents/{library.minutes.pk}/")
        absent = api("get", f"documents/{uuid4()}/")
        assert recorded() == []
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.content == absent.content
    tasks.denials()
    assert (only().detail["count"], only().actor) == (2, f"user:{people.employee.pk}")


@pytest.mark.django_db(transaction=True)
def test_a_count_that_cannot_be_written_is_kept(people, minute_over):
    api = Api(people.employee)
    for _ in range(3):
        api("get", "users/")
    with locked_log():
        tasks.denials()
        assert len(recorded()) == 1
    tasks.denials()
    assert recorded()[-1].detail["count"] == 2
