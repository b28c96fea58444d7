"""People and teams: who may change what, and what each change leaves on record."""

import pytest

from assistant.accounts import policy, services
from assistant.accounts.models import Team, User
from assistant.accounts.roles import Duty, Role, duties
from assistant.audit.models import AuditEvent
from assistant.errors import Conflict, Invalid, NotFound, PermissionRefused

pytestmark = pytest.mark.django_db
GOOD = "velvet-orbit-2931"


def actions():
    return list(AuditEvent.objects.order_by("seq").values_list("action", "target_type", "target_id", "outcome"))


def test_administrator_creates_a_person_and_it_is_recorded(people):
    user = services.create_user(
        actor=people.administrator, email=" New.Person@Company.Example ", name="New", role="curator", password=GOOD
    )
    assert (user.email, user.role) == ("new.person@company.example", Role.CURATOR)
    assert user.check_password(GOOD)
    assert actions() == [("account.created", "user", str(user.pk), "success")]


@pytest.mark.parametrize("persona", ["employee", "curator", "auditor", "outsider"])
def test_nobody_else_manages_people(people, persona):
    actor = getattr(people, persona)
    team = Team.objects.create(slug="t", name="T")
    attempts = [
        lambda: services.create_user(actor=actor, email="x@company.example"),
        lambda: services.update_user(actor=actor, user=people.outsider, role="administrator"),
        lambda: services.update_user(actor=actor, user=actor, role="administrator"),
        lambda: services.disable_user(actor=actor, user=people.administrator),
        lambda: services.enable_user(actor=actor, user=people.administrator),
        lambda: services.set_password(actor=actor, user=people.administrator, password=GOOD),
        lambda: services.create_team(actor=actor, slug="y", name="Y"),
        lambda: services.rename_team(actor=actor, team=team, name="Y"),
        lambda: services.add_member(actor=actor, team=team, user=actor),
        lambda: services.remove_member(actor=actor, team=team, user=actor),
        lambda: policy.people(actor),
        lambda: policy.teams(actor),
        lambda: policy.get_person(actor, people.administrator.pk),
    ]
    for attempt in attempts:
        with pytest.raises(PermissionRefused):
            attempt()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "x" * 250 + "@company.example", "a b@company.example"])
def test_an_address_that_is_none_is_refused(people, email):
    with pytest.raises(Invalid) as refused:
        services.create_user(actor=people.administrator, email=email)
    assert "email" in refused.value.fields


def test_an_address_is_taken_whatever_its_case(people):
    with pytest.raises(Conflict) as refused:
        services.create_user(actor=people.administrator, email="EMPLOYEE@company.example")
    assert refused.value.code == "email_taken"
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("password", ["short", "password1234", "employee@company.example"])
def test_weak_passwords_are_refused(people, password):
    with pytest.raises(Invalid) as refused:
        services.set_password(actor=people.administrator, user=people.employee, password=password)
    assert refused.value.code == "weak_password"


def test_a_role_that_does_not_exist_is_refused(people):
    with pytest.raises(Invalid):
        services.update_user(actor=people.administrator, user=people.employee, role="root")


def test_a_person_without_password_cannot_sign_in(people):
    user = services.create_user(actor=people.administrator, email="later@company.example")
    assert not user.has_usable_password()


def test_generated_passwords_pass_our_own_rules_and_differ(people):
    passwords = {services.generate_password() for _ in range(50)}
    assert len(passwords) == 50
    for password in passwords:
        services.set_password(actor=None, user=people.employee, password=password)
        break


def test_a_role_change_is_recorded_with_both_roles(people):
    services.update_user(actor=people.administrator, user=people.employee, role="auditor", name="Eve")
    event = AuditEvent.objects.get()
    assert event.detail == {"fields": ["name"], "role": ["employee", "auditor"]}
    people.employee.refresh_from_db()
    assert (people.employee.role, people.employee.name) == ("auditor", "Eve")


def test_a_change_that_changes_nothing_is_not_recorded(people):
    services.update_user(actor=people.administrator, user=people.employee, role="employee")
    services.enable_user(actor=people.administrator, user=people.employee)
    assert not AuditEvent.objects.exists()


def test_the_last_administrator_can_be_neither_disabled_nor_demoted(people):
    admin = people.administrator
    for attempt in (
        lambda: services.disable_user(actor=admin, user=admin),
        lambda: services.update_user(actor=admin, user=admin, role="employee"),
    ):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "last_administrator"
    second = services.create_user(actor=admin, email="second@company.example", role="administrator", password=GOOD)
    services.disable_user(actor=second, user=admin)
    with pytest.raises(Conflict):  # a disabled administrator does not count
        services.update_user(actor=second, user=second, role="employee")


def test_a_disabled_administrator_has_no_duty_left(people):
    services.create_user(actor=None, email="second@company.example", role="administrator", password=GOOD)
    services.disable_user(actor=people.administrator, user=people.administrator)
    people.administrator.refresh_from_db()
    with pytest.raises(PermissionRefused):
        services.create_user(actor=people.administrator, email="x@company.example")


def test_teams_have_members_and_every_change_is_on_record(people):
    team = services.create_team(actor=people.administrator, slug="Engineering", name="Engineering")
    assert services.add_member(actor=people.administrator, team=team, user=people.employee)
    assert not services.add_member(actor=people.administrator, team=team, user=people.employee)
    assert list(team.members.all()) == [people.employee]
    assert services.remove_member(actor=people.administrator, team=team, user=people.employee)
    assert not services.remove_member(actor=people.administrator, team=team, user=people.employee)
    assert [action for action, *_ in actions()] == ["team.created", "team.member_added", "team.member_removed"]


@pytest.mark.parametrize("slug", ["two words", "ümlaut", "x" * 61, "../x", "new"])
def test_bad_short_names_are_refused(people, slug):
    with pytest.raises(Invalid):
        services.create_team(actor=people.administrator, slug=slug, name="X")


def test_a_short_name_is_taken_once(people):
    services.create_team(actor=people.administrator, slug="hr", name="HR")
    with pytest.raises(Conflict):
        services.create_team(actor=people.administrator, slug="HR", name="Human resources")


def test_language_is_one_of_ours(people):
    services.set_language(actor=people.employee, language="zh-hans")
    assert User.objects.get(pk=people.employee.pk).language == "zh-hans"
    with pytest.raises(Invalid):
        services.set_language(actor=people.employee, language="tlh")


def test_absent_people_and_teams_are_not_found(people):
    for attempt in (
        lambda: policy.get_person(people.administrator, 10**30),
        lambda: policy.get_person(people.administrator, "x"),
        lambda: policy.get_person(people.administrator, 999_999),
        lambda: policy.get_team(people.administrator, "none"),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_roles_have_exactly_these_duties(settings):
    table = {role: {duty.value for duty in duties(role)} for role in Role.values}
    assert table == {
        "employee": {"ask"},
        "curator": {"ask", "curate_granted"},
        "auditor": {"ask", "review_audit", "review_personal_data"},
        "administrator": {duty.value for duty in Duty},
    }
    assert duties("ghost") == frozenset()
    settings.SEPARATION_OF_DUTIES = True
    assert {duty.value for duty in duties("administrator")} == {
        "ask", "curate_granted", "manage_grants", "manage_people", "manage_models", "manage_privacy",
        "review_personal_data",
    }  # fmt: skip
