"""Calls of one person and one token are counted exactly, by a real server asked in parallel."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from assistant.accounts import services
from tests.chat.live import server  # noqa: F401  (fixture)

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(address, tokens, number):
    limits = httpx2.Limits(max_connections=100)
    with httpx2.Client(base_url=address, limits=limits, timeout=60) as client, ThreadPoolExecutor(100) as pool:

        def one(at):
            return client.get("/api/v1/tokens/", headers={"Authorization": f"Bearer {tokens[at % len(tokens)]}"})

        return list(pool.map(one, range(number)))


def tokens_of(user, number):
    return [services.issue_token(actor=user, user=user, name=f"t{at}")[1] for at in range(number)]


def test_a_hundred_parallel_calls_of_one_person_pass_exactly_as_often_as_allowed(server, people, settings):  # noqa: F811
    settings.API_RATE, settings.TOKEN_RATE = "30/hour", ""
    answers = statuses(server, tokens_of(people.employee, 4), 100)
    assert Counter(answer.status_code for answer in answers) == {200: 30, 429: 70}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["content-type"] == "application/problem+json"
    assert 0 < int(refused.headers["retry-after"]) <= 3601


def test_a_token_has_a_rate_of_its_own_and_does_not_touch_other_people(server, people, settings):  # noqa: F811
    settings.API_RATE, settings.TOKEN_RATE = "50/hour", "20/hour"
    first, second = tokens_of(people.employee, 2)
    assert Counter(a.status_code for a in statuses(server, [first], 60)) == {200: 20, 429: 40}
    assert Counter(a.status_code for a in statuses(server, [second], 25)) == {200: 20, 429: 5}
    assert Counter(a.status_code for a in statuses(server, tokens_of(people.outsider, 3), 45)) == {200: 45}
