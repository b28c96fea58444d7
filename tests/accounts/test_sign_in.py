"""Signing in, out and being refused; and what ends a session."""

import pytest

from assistant.accounts import services
from assistant.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
LOGIN = "/accounts/login/"


def sign_in(client, email="employee@company.example", password=PASSWORD):
    return client.post(LOGIN, {"login": email, "password": password})


def signed_in(client):
    return client.get("/api/v1/tokens/").status_code == 200


def events():
    """But for the calls that `signed_in` makes to see whether somebody is."""
    found = AuditEvent.objects.exclude(action="access.denied").order_by("seq")
    return list(found.values_list("action", "outcome", "actor", "target_id"))


def test_sign_in_and_out_are_on_record(client, people):
    assert sign_in(client).status_code == 302
    assert signed_in(client)
    client.post("/accounts/logout/")
    assert not signed_in(client)
    me = str(people.employee.pk)
    assert events() == [
        ("auth.sign_in", "success", f"user:{me}", me),
        ("auth.sign_out", "success", f"user:{me}", me),
    ]
    assert AuditEvent.objects.get(seq=1).session


def test_a_wrong_password_is_told_in_plain_words(client, people):
    words = sign_in(client, password="wrong").content.decode()
    assert "This e-mail address and this password do not belong together." in words
    chinese = client.post(LOGIN, {"login": "a@b.example", "password": "x"}, headers={"accept-language": "zh-hans"})
    assert "该电子邮箱地址与密码不匹配。" in chinese.content.decode()


def test_a_refused_sign_in_is_on_record_without_the_address(client, people):
    sign_in(client, password="wrong")
    sign_in(client, email="ghost@company.example")
    assert [(action, outcome, target) for action, outcome, _actor, target in events()] == [
        ("auth.refused", "refused", str(people.employee.pk)),
        ("auth.refused", "refused", ""),
    ]
    assert "ghost" not in str(list(AuditEvent.objects.values()))


def test_known_and_unknown_addresses_get_the_same_page(client, people):
    def page(email):
        answer = sign_in(client, email=email, password="wrong")
        return answer.status_code, answer.content.decode().replace(email, "EMAIL")

    known, unknown = page("employee@company.example"), page("ghostlier@company.example")
    assert known[0] == unknown[0] == 200
    mask = [line for line in known[1].splitlines() if "csrf" not in line]
    assert mask == [line for line in unknown[1].splitlines() if "csrf" not in line]


def test_guessing_is_throttled_per_person_even_with_the_right_password(client, people):
    for _ in range(5):
        sign_in(client, password="wrong")
    sign_in(client)
    assert not signed_in(client)


def test_the_session_key_changes_at_sign_in(client, people):
    client.get(LOGIN)
    session = client.session
    session["planted"] = 1
    session.save()
    client.cookies["sessionid"] = session.session_key
    sign_in(client)
    assert client.session.session_key != session.session_key


@pytest.mark.parametrize(
    "change",
    [
        lambda admin, user: services.set_password(actor=admin, user=user, password="another-good-one-77"),
        lambda admin, user: services.update_user(actor=admin, user=user, role="curator"),
        lambda admin, user: services.disable_user(actor=admin, user=user),
    ],
    ids=["password", "role", "disabled"],
)
def test_a_session_ends_with_the_next_request_after(client, people, change):
    sign_in(client)
    assert signed_in(client)
    change(people.administrator, people.employee)
    assert not signed_in(client)


def test_enabling_again_does_not_revive_an_old_session(client, people):
    sign_in(client)
    services.disable_user(actor=people.administrator, user=people.employee)
    services.enable_user(actor=people.administrator, user=people.employee)
    assert not signed_in(client)


def test_a_disabled_person_cannot_sign_in(client, people):
    services.disable_user(actor=people.administrator, user=people.employee)
    sign_in(client)
    assert not signed_in(client)


def test_nobody_signs_up_alone(client, people):
    client.post("/accounts/signup/", {"email": "new@company.example", "password1": "velvet-orbit-2931"})
    assert type(people.employee).objects.filter(email="new@company.example").count() == 0


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_sign_in_never_sends_people_elsewhere(client, people, target):
    answer = client.post(
        LOGIN + f"?next={target}", {"login": "employee@company.example", "password": PASSWORD, "next": target}
    )
    assert answer.status_code == 302
    assert answer["Location"] == "/"


def test_passwords_are_kept_with_argon2(people):
    assert people.employee.password.startswith("argon2")
