"""Sessions are made by us, once for each sign-in; a guess at a name costs the same work whether the name exists."""

from __future__ import annotations

from collections import Counter

import pytest
from argon2 import PasswordHasher, low_level
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from assistant.accounts import services

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
LOGIN = "/accounts/login/"


def sign_in(client, email="employee@company.example", password=PASSWORD):
    return client.post(LOGIN, {"login": email, "password": password})


def person_of(client):
    answer = client.get("/api/v1/tokens/")
    return answer.status_code == 200


@pytest.mark.parametrize("planted", ["a" * 32, "x", "../../etc/passwd", "employee", "é" * 40])
def test_a_session_key_that_somebody_else_chose_is_never_used(client, people, planted):
    client.cookies["sessionid"] = planted
    client.get(LOGIN)
    sign_in(client)
    assert person_of(client)
    assert client.cookies["sessionid"].value != planted
    assert not Session.objects.filter(session_key=planted).exists()


def test_the_session_before_signing_in_is_gone_afterwards(client, people):
    session = client.session
    session["planted"] = "by the attacker"
    session.save()
    client.cookies["sessionid"] = session.session_key
    watching = Client()
    watching.cookies["sessionid"] = session.session_key
    sign_in(client)
    assert person_of(client)
    assert not person_of(watching)
    assert not Session.objects.filter(session_key=session.session_key).exists()


def test_signing_in_as_somebody_else_leaves_nothing_of_the_first_person(client, people):
    sign_in(client)
    session = client.session
    session["mine"] = "of the employee"
    session.save()
    first = client.cookies["sessionid"].value
    client.post("/accounts/logout/")
    sign_in(client, email="outsider@company.example")
    assert "mine" not in client.session
    assert client.cookies["sessionid"].value != first


def test_signing_out_ends_the_session_on_the_server_too(client, people):
    sign_in(client)
    stolen = Client()
    stolen.cookies["sessionid"] = client.cookies["sessionid"].value
    assert person_of(stolen)
    client.post("/accounts/logout/")
    assert not person_of(stolen)
    assert not Session.objects.exists()


def test_the_cookie_is_for_this_site_and_for_no_script(client, people):
    sign_in(client)
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] in {"Lax", "Strict"}


@pytest.fixture
def work(monkeypatch):
    """Runs of the password hash, the one slow step of a sign-in, by their cost (memory, time, lanes)."""
    runs: Counter[tuple[int, int, int]] = Counter()
    hashed, verified = low_level.hash_secret, PasswordHasher.verify

    def hash_secret(*arguments, **named):
        runs[named["memory_cost"], named["time_cost"], named["parallelism"]] += 1
        return hashed(*arguments, **named)

    def verify(self, hash, password):
        from argon2 import extract_parameters

        cost = extract_parameters(hash)
        runs[cost.memory_cost, cost.time_cost, cost.parallelism] += 1
        return verified(self, hash, password)

    monkeypatch.setattr(low_level, "hash_secret", hash_secret)
    monkeypatch.setattr(PasswordHasher, "verify", verify)
    return runs


def test_known_unknown_and_disabled_names_cost_one_and_the_same_hash(people, work):
    services.disable_user(actor=people.administrator, user=people.outsider)
    costs, queries = {}, {}
    for name in ("employee", "ghost", "outsider", "employee ", "EMPLOYEE"):
        work.clear()
        client = Client()
        client.get(LOGIN)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            answer = sign_in(client, email=f"{name.strip()}@company.example", password="wrong horse battery")
        assert answer.status_code == 200
        costs[name], queries[name] = dict(work), len(seen)
    assert [sum(cost.values()) for cost in costs.values()] == [1] * len(costs), costs
    assert len({tuple(cost) for cost in costs.values()}) == 1, costs
    assert max(queries.values()) - min(queries.values()) <= 2, queries
