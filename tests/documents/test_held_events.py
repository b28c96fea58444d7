"""Which audit events a legal hold keeps: those by, about or naming what is held; and then no segment of theirs goes."""

import pytest
from django.utils import timezone

from assistant import observability
from assistant.accounts import two_people
from assistant.audit import retention
from assistant.audit import services as audit
from assistant.audit.models import AuditSegment
from assistant.documents import held_events, holds
from assistant.errors import Conflict
from assistant.web import failures

pytestmark = pytest.mark.django_db
WHY = "court order 12/2026"


@pytest.fixture
def document(world):
    return world.upload(world.handbook, "policy.md", b"# Policy\n\nSome words.\n")


def by(user, **event):
    with observability.context(actor=f"user:{user.pk}", role=user.role):
        return audit.record(**event).seq


CASES = {
    "done by a held person": ("person", lambda w, d: by(w.people.employee, action="auth.sign_in")),
    "about a held person": (
        "person",
        lambda w, d: by(w.people.auditor, action="account.changed", target=("user", str(w.people.employee.pk))),
    ),
    "about a held document": (
        "document",
        lambda w, d: by(w.people.auditor, action="document.downloaded", target=("document", str(d.pk))),
    ),
    "an answer that saw a held document": (
        "document",
        lambda w, d: by(w.people.auditor, action="answer.shown", detail={"retrieved": [{"document": str(d.pk)}]}),
    ),
    "about a document of a held collection": (
        "collection",
        lambda w, d: by(w.people.auditor, action="document.downloaded", target=("document", str(d.pk))),
    ),
    "about a held collection": (
        "collection",
        lambda w, d: by(w.people.auditor, action="collection.changed", target=("collection", str(w.handbook.pk))),
    ),
    "a question asked of a held collection": (
        "collection",
        lambda w, d: by(w.people.auditor, action="search.asked", detail={"collections": ["handbook"]}),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hold_keeps_the_event(world, document, case):
    kind, make = CASES[case]
    target = {"person": world.people.employee.email, "document": str(document.pk), "collection": "handbook"}[kind]
    before = by(world.people.curator, action="auth.sign_in")
    seq = make(world, document)
    after = by(world.people.curator, action="auth.sign_out")
    hold = holds.place(actor=world.people.auditor, kind=kind, target=target, reason=WHY)
    assert held_events.keeper_of(before, after) == held_events.keeper_of(seq, seq) == hold.pk
    assert held_events.keeper_of(before, before) is None
    holds.ask_to_lift(actor=world.people.administrator, hold_id=hold.pk, reason=WHY)
    assert held_events.keeper_of(seq, seq) == hold.pk  # asked for is not agreed to
    holds.lift(actor=world.people.auditor, hold_id=hold.pk)
    assert held_events.keeper_of(before, after) is None


def test_reviewers_cannot_even_ask_to_prune_what_is_held_and_are_told_which_hold(world, monkeypatch):
    people = world.people
    by(people.employee, action="auth.sign_in")
    last = by(people.curator, action="auth.sign_in")
    hold = holds.place(actor=people.auditor, kind="person", target=people.employee.email, reason=WHY)
    segment = AuditSegment(first_seq=1, last_seq=last, root="", sealed_at=timezone.now())
    monkeypatch.setattr(retention, "prunable", lambda: [segment])  # as if its time were over
    with pytest.raises(Conflict, match=f"Legal hold {hold.pk} keeps events between 1 and {last}") as refused:
        two_people.ask_to_prune(actor=people.auditor, last=last, reason="The time is over")
    assert refused.value.fields == {"hold": [str(hold.pk)]}
    assert "Legal hold" in failures.error_detail(refused.value)
    holds.ask_to_lift(actor=people.administrator, hold_id=hold.pk, reason=WHY)
    holds.lift(actor=people.auditor, hold_id=hold.pk)
    assert two_people.ask_to_prune(actor=people.auditor, last=last, reason="The time is over").seq == last
