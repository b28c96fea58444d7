"""Requests that another site makes a browser send: with the person's cookies, without the person's will."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import get_resolver, reverse

from assistant.accounts import services as accounts
from assistant.accounts.models import User
from assistant.audit.models import AuditEvent
from assistant.documents.models import Collection, Document
from tests.test_endpoints import ROWS, names, world  # noqa: F401  (a fixture)

UNSAFE = ("post", "put", "patch", "delete")
EVIL = "evil.example"
COLLECTIONS = "/api/v1/collections/"


def addresses(world):  # noqa: F811
    """(name, path) of every address of the product, filled with objects that exist."""
    full = dict(names(get_resolver()))
    values = {row.name: row.values for row in ROWS}
    return [
        (name, reverse(whole, kwargs={key: getattr(world, given) for key, given in values[name].items()}))
        for name, whole in full.items()
    ]


def state():
    return (
        AuditEvent.objects.exclude(action="access.denied").count(),  # that somebody was turned away is on record
        sorted(Document.objects.values_list("pk", "updated_at")),
        sorted(Collection.objects.values_list("slug", flat=True)),
        sorted(User.objects.values_list("email", "is_active", "password")),
    )


@pytest.mark.django_db(transaction=True)
def test_no_unsafe_call_with_a_session_alone_gets_in(world):  # noqa: F811
    """Forms and REST alike, every address and method, as the person who may do most."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["administrator"])
    before = state()
    wrong = []
    for name, address in addresses(world):
        posts = [row for row in ROWS if row.name == name and row.method == "post"]
        for method in UNSAFE:
            file = method == "post" and any("file" in row.body for row in posts)
            form = {} if file else {"content_type": "application/json"}
            status = getattr(client, method)(address, {"question": "x"}, **form).status_code
            if status not in {403, 405} or (status == 405 and method == "post" and posts):
                wrong.append(f"{method} {name}: {status}")
    assert state() == before
    assert not wrong, "\n".join(wrong)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("origin", [f"https://{EVIL}", "null", f"http://testserver.{EVIL}"])
def test_a_right_token_from_a_foreign_page_does_not_help(world, origin):  # noqa: F811
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["administrator"])
    page = client.get("/account/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    foreign = {"HTTP_ORIGIN": origin, "HTTP_X_CSRFTOKEN": token}
    assert client.post("/", {"question": "How much?"}, **foreign).status_code == 403
    assert client.post(COLLECTIONS, {"slug": "theirs"}, "application/json", **foreign).status_code == 403
    assert not Collection.objects.filter(slug="theirs").exists()
    own = {"HTTP_ORIGIN": "http://testserver", "HTTP_X_CSRFTOKEN": token}
    made = client.post(COLLECTIONS, {"slug": "ours", "name": "Ours"}, "application/json", **own)
    assert made.status_code == 201, made.content


@pytest.mark.django_db(transaction=True)
def test_nobody_is_signed_in_by_another_site(people):
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/accounts/login/", {"login": "employee@company.example", "password": "correct horse battery"})
    assert answer.status_code == 403
    assert "sessionid" not in client.cookies


@pytest.mark.django_db(transaction=True)
def test_a_bearer_token_needs_no_form_token_because_no_browser_sends_it_by_itself(people):
    _, raw = accounts.issue_token(actor=people.administrator, user=people.administrator, name="tool")
    client = Client(enforce_csrf_checks=True)
    body = {"slug": "by-tool", "name": "By a tool"}
    assert client.post(COLLECTIONS, body, "application/json").status_code == 401
    made = client.post(COLLECTIONS, body, "application/json", headers={"Authorization": f"Bearer {raw}"})
    assert made.status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_forged_host_is_refused_everywhere_and_named_nowhere(world):  # noqa: F811
    """Host decides nothing: no page, redirect or link is built from what a client claims."""
    client = Client()
    client.force_login(world.people["administrator"])
    wrong = []
    for name, address in addresses(world):
        if name in {"healthz", "readyz", "metrics"}:
            continue
        for forged in (EVIL, f"testserver:80@{EVIL}", f"testserver.{EVIL}"):
            refused = client.get(address, HTTP_HOST=forged)
            if refused.status_code != 400 or EVIL in _told(refused):
                wrong.append(f"{name} as {forged}: {refused.status_code}")
        taken = client.get(address, HTTP_X_FORWARDED_HOST=EVIL, HTTP_FORWARDED=f"host={EVIL}", HTTP_X_HOST=EVIL)
        if EVIL in _told(taken):
            wrong.append(f"{name} believes X-Forwarded-Host")
    assert not wrong, "\n".join(wrong)


def _told(response) -> str:
    if getattr(response, "streaming", False):
        response.close()
        return str(response.headers)
    return response.content.decode(errors="replace") + str(response.headers)


ELSEWHERE = [
    f"https://{EVIL}/",
    f"//{EVIL}",
    f"///{EVIL}",
    f"////{EVIL}/..",
    f"\\\\{EVIL}",
    f"/\\{EVIL}",
    f"\\/{EVIL}",
    f"/\t/{EVIL}",
    f"\x00//{EVIL}",
    f" //{EVIL}",
    f"\u2028//{EVIL}",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    f"http:{EVIL}",
    f"http:///{EVIL}",
    f"https:/{EVIL}",
    f"ftp://{EVIL}",
    f"http://testserver@{EVIL}/",
    f"http://testserver.{EVIL}/",
    f"http://{EVIL}\\@testserver/",
    f"http://[{EVIL}",
    "http://[::1",
]


@pytest.mark.django_db
@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_form_sends_people_elsewhere(people, settings, target):
    """Every consumer of `next`: signing in, confirming, signing out, preferences."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a quick one: many sign in here
    people.employee.password = make_password("correct horse battery")
    people.employee.save()
    client = Client()
    person = {"login": "employee@company.example", "password": "correct horse battery"}
    steps = [
        ("/preferences/", {"theme": "dark"}),
        ("/accounts/login/", person),
        ("/preferences/", {"language": "zh-hans"}),
        ("/accounts/reauthenticate/", {"password": person["password"]}),
        ("/accounts/logout/", {}),
    ]
    for address, body in steps:
        for where in ("body", "query"):
            asked = {**body, "next": target} if where == "body" else body
            query = {} if where == "body" else {"query_params": {"next": target}}
            answer = client.post(address, asked, headers={"Referer": f"https://{EVIL}/"}, **query)
            if address == "/accounts/login/" and where == "query":
                continue  # signed in already
            assert answer.status_code == 302, (address, answer.status_code)
            assert answer["Location"].startswith("/"), (address, answer["Location"])
            assert not re.match(r"[/\\\s]{2}", answer["Location"]), (address, answer["Location"])
            assert EVIL not in answer["Location"], (address, answer["Location"])


@pytest.mark.django_db
def test_a_page_of_this_site_is_found_again_after_signing_in(people):
    client = Client()
    assert client.get("/library/")["Location"] == "/accounts/login/?next=/library/"
    person = {"login": "employee@company.example", "password": "correct horse battery"}
    assert client.post("/accounts/login/?next=/library/", {**person, "next": "/library/"})["Location"] == "/library/"
