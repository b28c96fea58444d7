"""Opening an audited text, and removing old events: one asks, another agrees, everything is on record."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from assistant import observability
from assistant.accounts import two_people
from assistant.audit import retention, services
from assistant.audit.models import AuditEvent, AuditPermit
from assistant.errors import Conflict, Invalid, NotFound, PermissionRefused

pytestmark = pytest.mark.django_db
WHY = "Complaint 4711 of the works council"


@pytest.fixture
def asked(people):
    """A question of the employee: the event's number."""
    with observability.context(actor=f"user:{people.employee.pk}", role="employee"):
        return services.intent(action="answer.asked", content={"question": "Who earns what?"}).seq


@pytest.fixture
def permit(people, asked):
    return two_people.ask_to_open(actor=people.auditor, seq=asked, reason=WHY)


def actions():
    return list(AuditEvent.objects.filter(action__startswith="audit.").order_by("seq").values_list("action", "outcome"))


def test_a_text_opens_for_who_asked_after_another_reviewer_agreed(people, asked, permit):
    two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    assert two_people.open_text(actor=people.auditor, permit_id=permit.pk) == {"question": "Who earns what?"}
    assert actions() == [
        ("audit.opening_asked", "success"),
        ("audit.opening_approved", "success"),
        ("audit.content_opened", "intent"),
        ("audit.content_opened", "success"),
    ]
    opened = AuditEvent.objects.get(action="audit.content_opened", outcome="success")
    assert opened.detail["asked_by"] == f"user:{people.auditor.pk}"
    assert opened.detail["agreed_by"] == f"user:{people.administrator.pk}"
    assert opened.target_id == str(asked)


def test_nobody_agrees_with_themselves(people, permit):
    with pytest.raises(Conflict) as refused:
        two_people.decide(actor=people.auditor, permit_id=permit.pk, approve=True)
    assert refused.value.code == "second_person"
    with pytest.raises(Conflict):
        two_people.open_text(actor=people.auditor, permit_id=permit.pk)


def test_the_database_too_wants_two_people(people, permit):
    from django.db import DatabaseError, transaction

    with pytest.raises(DatabaseError), transaction.atomic():
        AuditPermit.objects.filter(pk=permit.pk).update(decided_by=permit.requested_by, approved=True)


def test_a_permit_is_for_the_one_who_asked(people, permit):
    two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    with pytest.raises(NotFound):
        two_people.open_text(actor=people.administrator, permit_id=permit.pk)


def test_declined_and_decided_twice(people, permit):
    two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=False)
    with pytest.raises(Conflict):
        two_people.open_text(actor=people.auditor, permit_id=permit.pk)
    with pytest.raises(Conflict):
        two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    assert actions()[-1] == ("audit.opening_declined", "success")


@pytest.mark.parametrize("decided", [False, True])
def test_a_permit_ends_by_itself(people, permit, decided):
    if decided:
        two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    AuditPermit.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    act = two_people.open_text if decided else partial(two_people.decide, approve=True)
    with pytest.raises(Conflict) as refused:
        act(actor=people.auditor if decided else people.administrator, permit_id=permit.pk)
    assert refused.value.code == "expired"


def test_a_reason_is_needed_and_a_text_and_an_event(people, asked):
    with pytest.raises(Invalid):
        two_people.ask_to_open(actor=people.auditor, seq=asked, reason="because")
    with pytest.raises(NotFound):
        two_people.ask_to_open(actor=people.auditor, seq=10**6, reason=WHY)
    bare = services.record(action="auth.sign_in").seq
    with pytest.raises(Conflict):
        two_people.ask_to_open(actor=people.auditor, seq=bare, reason=WHY)


def test_an_erased_text_stays_erased(people, asked, permit):
    two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    services.erase_contents([asked])
    with pytest.raises(Conflict, match="erased"):
        two_people.open_text(actor=people.auditor, permit_id=permit.pk)


def test_the_reason_lies_apart_too(people, permit):
    assert WHY not in str(list(AuditEvent.objects.values()))
    assert AuditEvent.objects.get(action="audit.opening_asked").commitment


@pytest.mark.parametrize("persona", ["employee", "curator", "outsider"])
def test_only_reviewers_take_part(people, asked, permit, persona):
    person = getattr(people, persona)
    for call in (
        lambda: two_people.permits(actor=person),
        lambda: two_people.ask_to_open(actor=person, seq=asked, reason=WHY),
        lambda: two_people.decide(actor=person, permit_id=permit.pk, approve=True),
        lambda: two_people.open_text(actor=person, permit_id=permit.pk),
        lambda: two_people.ask_to_prune(actor=person, last=1, reason=WHY),
        lambda: two_people.prune(actor=person, permit_id=permit.pk),
    ):
        with pytest.raises(PermissionRefused):
            call()


def test_whose_text_was_opened_is_told_until_they_have_read_it(people, asked, permit):
    assert not two_people.unread(actor=people.employee)
    two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    assert not two_people.unread(actor=people.employee)
    two_people.open_text(actor=people.auditor, permit_id=permit.pk)
    (told,) = two_people.openings(actor=people.employee)
    assert (told.seq, told.reason) == (asked, WHY)
    assert two_people.unread(actor=people.employee) == 1
    assert not two_people.unread(actor=people.outsider)
    assert two_people.acknowledge(actor=people.employee) == 1
    assert not two_people.unread(actor=people.employee)
    assert two_people.openings(actor=people.employee).count() == 1


def test_old_events_go_when_two_reviewers_want_it(people, monkeypatch):
    monkeypatch.setattr(services, "SEGMENT_EVENTS", 4)
    long_ago = timezone.now() - timedelta(days=500)
    with monkeypatch.context() as patch:
        patch.setattr(services.timezone, "now", lambda: long_ago)
        for _ in range(4):
            services.record(action="auth.sign_in")
        services.seal_segments()
    with pytest.raises(Conflict):
        two_people.ask_to_prune(actor=people.auditor, last=5, reason=WHY)
    permit = two_people.ask_to_prune(actor=people.auditor, last=4, reason=WHY)
    with pytest.raises(Conflict):
        two_people.prune(actor=people.auditor, permit_id=permit.pk)
    two_people.decide(actor=people.administrator, permit_id=permit.pk, approve=True)
    assert two_people.prune(actor=people.auditor, permit_id=permit.pk) == 1
    assert retention.prunable() == []
    assert not AuditEvent.objects.filter(seq=1).exists()
    with pytest.raises(Conflict):
        two_people.prune(actor=people.auditor, permit_id=permit.pk)
