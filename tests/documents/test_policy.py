"""Who sees what: exact sets for each persona, and the absence of each hidden item."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from assistant.accounts.models import Membership, User
from assistant.accounts.roles import Role
from assistant.audit.models import AuditEvent
from assistant.documents import policy, rows, services
from assistant.documents.models import Access, Chunk, Document, Grant, IndexEvent, Scope
from assistant.errors import Invalid, NotFound

from .conftest import POLICY, ROADMAP, SALARY

pytestmark = pytest.mark.django_db(transaction=True)

PERSONAS = ("employee", "curator", "auditor", "administrator", "outsider")


@pytest.fixture
def library(world):
    """One document in each collection; all count as read."""
    documents = {
        "policy": world.upload(world.handbook, "policy.md", POLICY),
        "salary": world.upload(world.finance, "salary.md", SALARY),
        "roadmap": world.upload(world.board, "roadmap.md", ROADMAP),
    }
    for document in documents.values():
        Document.objects.filter(pk=document.pk).update(current=document.latest)
    return documents


def readable(user) -> set[str]:
    return set(policy.readable_documents(user).values_list("title", flat=True))


def visible(user) -> set[str]:
    return set(policy.visible_documents(user).values_list("title", flat=True))


def test_reading_comes_from_grants_alone(world, library):
    people = world.people
    assert {name: readable(getattr(people, name)) for name in PERSONAS} == {
        "employee": {"policy", "salary"},
        "curator": {"policy"},
        "auditor": {"policy"},
        "administrator": {"policy"},  # manages everything, and reads what a grant says
        "outsider": {"policy"},
    }


@pytest.mark.parametrize("changed", ["as it is", "team left", "disabled", "out of date", "everyone's grant gone"])
def test_what_a_search_loads_is_what_may_be_read_and_speaks_today(world, changed):
    """The statements that are kept say what the queries of models say, for everybody and after every change."""
    for collection, name, content in (
        (world.handbook, "policy.md", POLICY),
        (world.finance, "salary.md", SALARY),
        (world.board, "roadmap.md", ROADMAP),
    ):
        world.ready(collection, name, content)
    world.ready(world.finance, "other.md", SALARY + b"\nAnother.", actor=world.people.administrator)
    everybody = [getattr(world.people, name) for name in PERSONAS]
    today, ids = timezone.localdate(), list(Chunk.objects.values_list("pk", flat=True))
    loaded = {user.pk: policy.answerable_rows(user, today, ids, ("pk",)) for user in everybody}
    assert loaded[world.people.employee.pk]
    if changed == "team left":
        Membership.objects.all().delete()
    elif changed == "disabled":
        for user in everybody:
            user.is_active = False
    elif changed == "out of date":
        Document.objects.filter(collection=world.finance).update(valid_until=today - timedelta(days=1))
    elif changed == "everyone's grant gone":
        Grant.objects.filter(everyone=True).delete()
    for user in everybody:
        rows = policy.answerable_rows(user, today, ids, ("pk", "document__title", "document__collection__slug"))
        may = policy.answerable_chunks(user, today)
        assert sorted(rows) == sorted(may.values_list("pk", "document__title", "document__collection__slug"))
        assert policy.readable_partitions(user) == tuple(
            policy.readable_scopes(user).order_by("pk").values_list("pk", flat=True)
        )
        assert policy.answerable_rows(user, today, [], ("pk",)) == []
        for uploader in (None, world.people.administrator.pk, world.people.curator.pk):
            others = policy.readable_documents(user).exclude(current__uploaded_by=uploader)
            assert policy.reads_others(user, uploader) == others.exists()
    assert policy.answerable_rows(AnonymousUser(), today, ids, ("pk",)) == []
    assert policy.readable_partitions(AnonymousUser()) == ()
    assert not policy.reads_others(AnonymousUser(), None)


def test_a_search_loads_passages_with_what_they_belong_to(world, django_assert_num_queries):
    world.ready(world.handbook, "policy.md", POLICY)
    user, today = world.people.employee, timezone.localdate()
    ids = list(Chunk.objects.values_list("pk", flat=True))
    expected = policy.answerable_chunks(user, today).select_related("document__collection", "version").in_bulk(ids)
    found = rows.chunks(policy.answerable_rows(user, today, ids, rows.COLUMNS))
    assert found == expected
    for pk, chunk in expected.items():
        with django_assert_num_queries(0):
            for name in ("document_id", "version_id", "ordinal", "page", "headings", "char_start", "char_end", "text"):
                assert getattr(found[pk], name) == getattr(chunk, name)
            assert found[pk].suspicion == chunk.suspicion
            assert found[pk].document.title == chunk.document.title
            assert found[pk].document.collection.slug == chunk.document.collection.slug
            assert found[pk].version.number == chunk.version.number
            assert found[pk].version.uploaded_by_id == chunk.version.uploaded_by_id
        assert found[pk].document.scope_id == chunk.document.scope_id  # fetched when it is asked for


def test_the_library_adds_what_one_manages(world, library):
    people = world.people
    assert visible(people.administrator) == {"policy", "salary", "roadmap"}
    assert visible(people.curator) == {"policy"}
    assert visible(people.employee) == {"policy", "salary"}
    unread = world.upload(world.handbook, "draft.md", b"Not read yet.")
    assert "draft" in visible(people.curator)
    assert "draft" not in visible(people.outsider)
    with pytest.raises(NotFound):
        policy.get_visible_document(people.outsider, unread.pk)


@pytest.mark.parametrize("name", PERSONAS)
def test_foreign_and_absent_are_the_same_error(world, library, name):
    user = getattr(world.people, name)
    hidden = set(Document.objects.values_list("pk", flat=True)) - set(
        policy.visible_documents(user).values_list("pk", flat=True)
    )
    said = set()
    for key in (*hidden, "6d3c1f0e-0000-4000-8000-000000000000", "no-uuid", "\x00"):
        with pytest.raises(NotFound) as caught:
            policy.get_visible_document(user, key)
        said.add((str(caught.value), caught.value.code))
    assert len(said) == 1


def test_nobody_and_disabled_people_see_nothing(world, library):
    from django.contrib.auth.models import AnonymousUser

    disabled = world.people.employee
    User.objects.filter(pk=disabled.pk).update(is_active=False)
    disabled.refresh_from_db()
    unknown_role = User(email="x@company.example", role="wizard", pk=4711)
    for user in (AnonymousUser(), disabled, unknown_role):
        assert not policy.visible_documents(user).exists()
        assert not policy.visible_collections(user).exists()
        assert not policy.readable_chunks(user).exists()


def test_revoking_and_leaving_a_team_hold_at_once(world, library):
    employee, boss = world.people.employee, world.people.administrator
    Membership.objects.filter(user=employee).delete()
    assert readable(employee) == {"policy"}
    grant = services.collection_grants(actor=boss, collection=world.handbook)[0]
    assert grant.everyone
    services.revoke_collection(actor=boss, collection=world.handbook, grant_id=grant.reference)
    assert readable(employee) == set()
    assert not policy.visible_collections(employee).exists()
    with pytest.raises(NotFound):
        services.revoke_collection(actor=boss, collection=world.handbook, grant_id=grant.reference)


def test_restricting_leaves_only_the_named_and_moves_the_document_to_a_shared_scope(world, library):
    people, boss = world.people, world.people.administrator
    one = library["policy"]
    two = world.upload(world.handbook, "second.md", b"Second.")
    events = IndexEvent.objects.count()
    for document in (one, two):
        grant, created = services.grant_document(
            actor=people.curator, document=document, principal="team:finance", access="reader"
        )
        assert created
    one.refresh_from_db()
    two.refresh_from_db()
    assert one.scope_id == two.scope_id
    assert one.scope.restricted
    assert IndexEvent.objects.count() == events + 2
    assert readable(people.employee) == {"policy", "salary", "second"}
    for name in ("curator", "auditor", "administrator", "outsider"):
        assert readable(getattr(people, name)) == set(), name
    assert visible(people.curator) == {"policy", "second"}  # still manages it

    services.grant_document(actor=boss, document=one, principal=f"user:{people.outsider.email}", access="reader")
    assert readable(people.outsider) == {"policy"}
    assert grant.reference == f"team-{world.team.pk}"
    services.revoke_document(actor=boss, document=one, grant_id=grant.reference)
    assert readable(people.employee) == {"salary", "second"}
    services.revoke_document(actor=boss, document=one, grant_id=f"user-{people.outsider.pk}")
    assert all("policy" not in readable(getattr(people, name)) for name in PERSONAS)  # restricted to nobody
    one.refresh_from_db()
    assert one.restricted

    services.unrestrict_document(actor=boss, document=one)
    assert all("policy" in readable(getattr(people, name)) for name in PERSONAS)
    assert Scope.objects.exclude(key="").count() == 1  # scopes left empty are gone


def test_a_collections_grant_does_not_open_its_restricted_documents(world, library):
    services.grant_document(
        actor=world.people.administrator, document=library["policy"], principal="team:finance", access="reader"
    )
    services.grant_collection(
        actor=world.people.administrator,
        collection=world.handbook,
        principal=f"user:{world.people.outsider.email}",
        access="reader",
    )
    assert readable(world.people.outsider) == set()


def test_moving_takes_the_restriction_along_and_changes_the_readers_otherwise(world, library):
    boss, people = world.people.administrator, world.people
    document = services.move(actor=boss, document=library["policy"], collection=world.board)
    assert document.collection == world.board
    assert all("policy" not in readable(getattr(people, name)) for name in PERSONAS)
    services.grant_document(actor=boss, document=document, principal="team:finance", access="reader")
    document = services.move(actor=boss, document=document, collection=world.handbook)
    assert [name for name in PERSONAS if "policy" in readable(getattr(people, name))] == ["employee"]
    with pytest.raises(NotFound):
        services.move(actor=people.curator, document=document, collection=world.finance)


def test_a_curator_of_one_document_manages_that_document_only(world, library):
    editor = User.objects.create_user("editor@company.example", role=Role.CURATOR)
    services.grant_document(
        actor=world.people.administrator,
        document=library["salary"],
        principal="user:editor@company.example",
        access="curator",
    )
    assert visible(editor) == {"policy", "salary"}
    assert set(policy.managed_documents(editor).values_list("title", flat=True)) == {"salary"}
    assert not policy.managed_collections(editor).exists()


def test_a_curator_grant_means_reading_for_who_lacks_the_duty(world, library):
    services.grant_collection(
        actor=world.people.administrator,
        collection=world.board,
        principal=f"user:{world.people.outsider.email}",
        access="curator",
    )
    assert readable(world.people.outsider) == {"policy", "roadmap"}
    assert not policy.managed_collections(world.people.outsider).exists()


def test_separation_of_duties_leaves_administrators_the_grants_but_not_the_documents(world, library, settings):
    settings.SEPARATION_OF_DUTIES = True
    boss = world.people.administrator
    assert visible(boss) == {"policy"}
    assert not policy.managed_documents(boss).exists()
    assert policy.visible_collections(boss).count() == 3
    services.grant_collection(
        actor=boss, collection=world.board, principal=f"user:{world.people.auditor.email}", access="reader"
    )
    assert readable(world.people.auditor) == {"policy", "roadmap"}
    with pytest.raises(NotFound):
        services.delete(actor=boss, document=library["roadmap"])


@pytest.mark.parametrize("verb", ["delete", "retry", "cancel", "release", "unrestrict_document"])
@pytest.mark.parametrize("name", ["employee", "auditor", "outsider"])
def test_people_without_curating_cannot_change_even_what_they_read(world, library, verb, name):
    before = Document.objects.count(), Grant.objects.count()
    for document in library.values():
        with pytest.raises(NotFound):
            getattr(services, verb)(actor=getattr(world.people, name), document=document)
    assert (Document.objects.count(), Grant.objects.count()) == before


def test_granting_again_changes_the_access_and_unknown_principals_are_refused(world):
    boss = world.people.administrator
    grant, created = services.grant_collection(
        actor=boss, collection=world.finance, principal="team:finance", access="curator"
    )
    assert (grant.access, created) == (Access.CURATOR, False)
    for principal in ("user:nobody@company.example", "team:none", "user:\x00"):
        with pytest.raises(NotFound):
            services.grant_collection(actor=boss, collection=world.finance, principal=principal, access="reader")
    for principal in (
        "everybody",
        "role:curator",
        "",
        "everyone:x",
    ):
        with pytest.raises(Invalid):
            services.grant_collection(actor=boss, collection=world.finance, principal=principal, access="reader")
    with pytest.raises(Invalid):
        services.grant_collection(actor=boss, collection=world.finance, principal="everyone", access="owner")


def test_the_access_report_says_exactly_what_policy_does(world, library):
    boss, people = world.people.administrator, world.people
    services.grant_document(actor=boss, document=library["salary"], principal="team:finance", access="reader")
    services.grant_document(
        actor=boss, document=library["salary"], principal=f"user:{people.auditor.email}", access="reader"
    )
    for document in library.values():
        document.refresh_from_db()
        lines = services.access_report(actor=boss, document=document)
        readers = {line.person.email for line in lines if line.reads}
        openers = {line.person.email for line in lines}
        users = list(User.objects.all())
        assert readers == {u.email for u in users if policy.readable_documents(u).filter(pk=document.pk).exists()}
        assert openers == {u.email for u in users if policy.visible_documents(u).filter(pk=document.pk).exists()}
    because = {
        line.person.email: [reason.kind for reason in line.reasons]
        for line in services.access_report(actor=boss, document=library["salary"])
    }
    assert because[people.employee.email] == ["team"]
    assert because[people.auditor.email] == ["user"]
    assert because[boss.email] == ["manages"]
    with pytest.raises(NotFound):
        services.access_report(actor=people.employee, document=library["salary"])


def test_every_change_of_access_is_on_record(world, library):
    boss = world.people.administrator
    before = AuditEvent.objects.count()
    services.grant_document(actor=boss, document=library["policy"], principal="team:finance", access="reader")
    services.grant_document(actor=boss, document=library["policy"], principal="everyone", access="reader")
    services.revoke_document(actor=boss, document=library["policy"], grant_id="everyone")
    services.unrestrict_document(actor=boss, document=library["policy"])
    actions = list(AuditEvent.objects.order_by("seq").values_list("action", flat=True))[before:]
    assert actions == ["document.restricted", "grant.added", "grant.removed", "document.unrestricted"]
