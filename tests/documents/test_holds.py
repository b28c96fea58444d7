"""What is under legal hold is not erased, moved away or forgotten, and two duties lift it."""

import pytest

from assistant.audit.models import AuditEvent
from assistant.documents import holds, services
from assistant.documents.models import Document
from assistant.errors import Conflict, Invalid, NotFound, PermissionRefused

pytestmark = pytest.mark.django_db
WHY = "court order 12/2026"


@pytest.fixture
def document(world):
    return world.upload(world.handbook, "policy.md", b"# Policy\n\nSome words.\n")


@pytest.mark.parametrize("kind", ["document", "collection"])
def test_held_document_stays_until_two_duties_lift_the_hold(world, document, kind):
    people = world.people
    target = str(document.pk) if kind == "document" else "handbook"
    row = holds.place(actor=people.auditor, kind=kind, target=target, reason=WHY)
    with pytest.raises(Conflict, match="legal hold"):
        services.delete(actor=people.administrator, document=document)
    assert Document.objects.filter(pk=document.pk).exists()
    with pytest.raises(Conflict, match="administrator of people"):
        holds.lift(actor=people.auditor, hold_id=row.pk)
    with pytest.raises(PermissionRefused):
        holds.ask_to_lift(actor=people.auditor, hold_id=row.pk, reason=WHY)
    holds.ask_to_lift(actor=people.administrator, hold_id=row.pk, reason=WHY)
    with pytest.raises(Conflict, match="Another person"):
        holds.lift(actor=people.administrator, hold_id=row.pk)
    holds.lift(actor=people.auditor, hold_id=row.pk)
    with pytest.raises(Conflict, match="already"):
        holds.lift(actor=people.auditor, hold_id=row.pk)
    services.delete(actor=people.administrator, document=document)
    done = list(AuditEvent.objects.filter(action__startswith="hold.").values_list("action", flat=True))
    assert sorted(done) == ["hold.lift_asked", "hold.lifted", "hold.placed"]


def test_nothing_moves_out_of_a_held_collection(world, document):
    boss = world.people.administrator
    holds.place(actor=boss, kind="collection", target="handbook", reason=WHY)
    with pytest.raises(Conflict, match="legal hold"):
        services.move(actor=boss, document=document, collection=world.finance)


def test_only_the_two_duties_know_of_holds(world):
    for person in (world.people.employee, world.people.curator):
        with pytest.raises(PermissionRefused):
            holds.place(actor=person, kind="collection", target="handbook", reason=WHY)
        with pytest.raises(PermissionRefused):
            holds.holds(actor=person)


def test_bad_holds_say_what_is_wrong(world):
    boss = world.people.administrator
    with pytest.raises(Invalid, match="why"):
        holds.place(actor=boss, kind="collection", target="handbook", reason="no")
    with pytest.raises(Invalid, match="document or a person"):
        holds.place(actor=boss, kind="planet", target="handbook", reason=WHY)
    for kind, target in (("collection", "none"), ("document", "none"), ("person", "none@company.example")):
        with pytest.raises(NotFound):
            holds.place(actor=boss, kind=kind, target=target, reason=WHY)
    with pytest.raises(NotFound):
        holds.lift(actor=world.people.auditor, hold_id=999)
