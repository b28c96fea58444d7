"""People, teams and tokens from outside."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from assistant.accounts import services
from assistant.accounts.models import ApiToken, Team, User
from assistant.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
GOOD = "velvet-orbit-2931"


class Api:
    """A caller with a bearer token."""

    def __init__(self, user, **token):
        _token, self.raw = services.issue_token(actor=user, user=user, name="test", **token)
        self.client = Client(headers={"Authorization": f"Bearer {self.raw}"})

    def __call__(self, method, path, body=None):
        answer = getattr(self.client, method)(f"/api/v1/{path}", body, content_type="application/json")
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return answer


def test_an_administrator_creates_changes_and_disables_a_person(people):
    api = Api(people.administrator)
    created = api(
        "post", "users/", {"email": "new@company.example", "name": "New", "role": "curator", "password": GOOD}
    )
    assert created.status_code == 201
    assert "initial_password" not in created.json()
    path = created["Location"].removeprefix("/api/v1/")
    assert api("get", path).json()["role"] == "curator"
    changed = api("patch", path, {"role": "employee", "name": "Newer", "is_active": False}).json()
    assert (changed["role"], changed["name"], changed["is_active"]) == ("employee", "Newer", False)
    assert "password" not in str(changed)


def test_a_person_without_given_password_gets_one_shown_once(people):
    api = Api(people.administrator)
    created = api("post", "users/", {"email": "new@company.example"})
    password = created.json()["initial_password"]
    assert User.objects.get(email="new@company.example").check_password(password)
    assert created["Cache-Control"] == "no-store"
    assert password not in api("get", f"users/{created.json()['id']}/").content.decode()


def test_several_changes_are_all_or_none(people):
    api = Api(people.administrator)
    answer = api("patch", f"users/{people.employee.pk}/", {"role": "curator", "password": "short"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "weak_password"
    people.employee.refresh_from_db()
    assert people.employee.role == "employee"


def test_the_last_administrator_stays(people):
    api = Api(people.administrator)
    for change in ({"role": "employee"}, {"is_active": False}):
        answer = api("patch", f"users/{people.administrator.pk}/", change)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")


@pytest.mark.parametrize("persona", ["employee", "curator", "auditor", "outsider"])
def test_only_administrators_manage_people(people, persona):
    Team.objects.create(slug="hr", name="HR")
    api = Api(getattr(people, persona))
    calls = [
        ("get", "users/", None),
        ("post", "users/", {"email": "x@company.example"}),
        ("get", f"users/{people.employee.pk}/", None),
        ("get", "users/999999/", None),
        ("patch", f"users/{people.employee.pk}/", {"role": "administrator"}),
        ("get", "teams/", None),
        ("post", "teams/", {"slug": "x", "name": "X"}),
        ("get", "teams/hr/", None),
        ("patch", "teams/hr/", {"name": "X"}),
        ("get", "teams/hr/members/", None),
        ("get", "teams/none/members/", None),
        ("post", "teams/hr/members/", {"email": "employee@company.example"}),
        ("delete", "teams/hr/members/?email=employee@company.example", None),
    ]
    bodies = set()
    for method, path, body in calls:
        answer = api(method, path, body)
        assert answer.status_code == 403, path
        bodies.add(answer.content)
    assert len(bodies) == 1  # absent and present tell nothing


@pytest.mark.parametrize("path", ["users/", "teams/", "tokens/", "users/1/", "teams/x/", "teams/x/members/"])
def test_nobody_without_a_name_gets_in(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer


@pytest.mark.parametrize(
    "path", ["users/999999/", "users/abc/", f"users/{10**30}/", "teams/none/", "teams/none/members/"]
)
def test_what_is_not_there_is_404(people, path):
    assert Api(people.administrator)("get", path).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {}, {"email": "x"}, {"email": None}, {"email": "a@company.example", "role": "root"},
        {"email": "a\u0000b@company.example"}, {"email": "a@company.example", "name": "x" * 151}, [],
    ],
)  # fmt: skip
def test_a_bad_body_is_400_and_names_the_field(people, body):
    answer = Api(people.administrator)("post", "users/", body)
    assert answer.status_code == 400
    assert answer.json()["fields"]


def test_teams_and_members(people):
    api = Api(people.administrator)
    assert api("post", "teams/", {"slug": "hr", "name": "HR"}).status_code == 201
    assert api("post", "teams/", {"slug": "hr", "name": "HR"}).status_code == 409
    member = {"email": "employee@company.example"}
    assert api("post", "teams/hr/members/", member).status_code == 201
    assert api("post", "teams/hr/members/", {"email": "EMPLOYEE@company.example"}).status_code == 200
    assert api("get", "teams/hr/members/").json()["results"] == [{**member, "name": "Employee"}]
    assert api("post", "teams/hr/members/", {"email": "ghost@company.example"}).status_code == 404
    for _ in range(2):
        assert api("delete", "teams/hr/members/?email=employee@company.example").status_code == 204
    assert api("get", "teams/hr/members/").json()["results"] == []
    assert api("delete", "teams/hr/members/").status_code == 404
    assert api("patch", "teams/hr/", {"name": "Human Resources"}).json()["name"] == "Human Resources"


def test_people_come_in_pages(people):
    api = Api(people.administrator)
    seen, path = [], "users/?page_size=2"
    while path:
        page = api("get", path).json()
        seen += [row["email"].split("@")[0] for row in page["results"]]
        path = page["next"] and page["next"].split("/api/v1/")[1]
    assert seen == ["administrator", "auditor", "curator", "employee", "outsider"]


def test_tokens_are_ones_own_and_shown_once(people):
    api, other = Api(people.employee), Api(people.outsider)
    created = api("post", "tokens/", {"name": "script", "scopes": ["read", "ask"]})
    raw = created.json()["token"]
    assert created["Cache-Control"] == "no-store"
    assert services.authenticate_token(raw).scopes == ["ask", "read"]
    listed = api("get", "tokens/")
    assert [row["name"] for row in listed.json()["results"]] == ["script", "test"]
    assert raw not in listed.content.decode()
    path = f"tokens/{created.json()['id']}/"
    assert other("delete", path).status_code == 404
    assert api("delete", path).status_code == 204
    assert api("delete", path).status_code == 404
    assert services.authenticate_token(raw) is None


def test_a_token_cannot_outgrow_itself(people):
    ends = timezone.now() + timedelta(days=1)
    api = Api(people.employee, scopes=["manage", "read"], expires_at=ends)
    assert api("post", "tokens/", {"name": "all"}).status_code == 403
    assert api("post", "tokens/", {"name": "more", "scopes": ["ask"]}).status_code == 403
    made = api("post", "tokens/", {"name": "same", "scopes": ["read"]}).json()
    assert services.authenticate_token(made["token"]).expires_at == ends


def test_a_token_without_the_scope_is_refused(people):
    api = Api(people.administrator, scopes=["read"])
    assert api("get", "users/").status_code == 200
    assert api("post", "users/", {"email": "x@company.example"}).status_code == 403


def test_a_disabled_persons_token_stops_with_the_next_call(people):
    api = Api(people.employee)
    assert api("get", "tokens/").status_code == 200
    services.disable_user(actor=people.administrator, user=people.employee)
    assert api("get", "tokens/").status_code == 401


def test_changes_over_rest_name_the_person_and_the_token(people):
    api = Api(people.administrator)
    api("post", "teams/", {"slug": "hr", "name": "HR"})
    event = AuditEvent.objects.get(action="team.created")
    assert event.actor == f"user:{people.administrator.pk}"
    assert event.role == "administrator"
    assert event.session.startswith("token:")
    assert event.origin == "127.0.0.1"
    assert event.request_id


def test_a_token_that_no_longer_opens_anything_is_said_to_be_the_reason_whatever_it_is(people):
    """Unknown, revoked, expired, of somebody disabled: one sentence for all, so that none is told from another."""
    revoked, expired, disabled = Api(people.employee), Api(people.employee), Api(people.outsider)
    first, second, _ = ApiToken.objects.order_by("pk")
    services.revoke_token(actor=people.employee, token_id=first.pk)
    ApiToken.objects.filter(pk=second.pk).update(expires_at=timezone.now())
    services.disable_user(actor=people.administrator, user=people.outsider)
    unknown = Client(headers={"Authorization": "Bearer nobody-has-this"})
    for address in ("/api/v1/tokens/", "/v1/models"):
        replies = [client.get(address) for client in (revoked.client, expired.client, disabled.client, unknown)]
        assert [reply.status_code for reply in replies] == [401] * 4
        assert len({reply.content for reply in replies}) == 1
        assert "This token is not known here, was revoked or has expired." in replies[0].content.decode()
