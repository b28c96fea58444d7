"""The OpenAPI contract: it is valid, covers every REST address, and schemathesis finds no fault in what is served.

The search for faults takes minutes: `pytest tests/api/test_schema.py -m long`.
"""

from __future__ import annotations

import pytest
import schemathesis
import yaml
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from assistant.accounts import services as accounts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(people) -> str:
    return accounts.issue_token(actor=people.administrator, user=people.administrator, name="contract")[1]


@pytest.fixture
def contract(token):
    load_all_checks()
    return schemathesis.openapi.from_wsgi(
        "/api/v1/schema/?format=json", get_wsgi_application(), headers={"Authorization": f"Bearer {token}"}
    )


def test_contract_names_every_rest_address(token):
    served = Client().get("/api/v1/schema/", headers={"Authorization": f"Bearer {token}"})
    paths = yaml.safe_load(served.content)["paths"]
    for path in (
        "answers/",
        "documents/",
        "collections/",
        "search/",
        "users/",
        "teams/",
        "tokens/",
        "audit/events/",
        "models/",
    ):
        assert f"/api/v1/{path}" in paths
    assert "/v1/chat/completions" in paths


# Safe methods: what changes the world is driven by the rooms' own tests.
@pytest.mark.long
def test_no_read_breaks_the_contract(contract, token):
    faults = []
    for result in contract.include(method="GET").get_all_operations():
        operation = result.ok()
        if "events" in operation.path or operation.path.startswith("/v1/"):
            continue  # a stream without an end; OpenAI's own shapes, which its client tests

        @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case):
            response = case.call(headers={"Authorization": f"Bearer {token}"})
            if response.status_code >= 500:
                faults.append(f"{case.method} {case.formatted_path}: {response.status_code}")
            left_out = [ignored_auth]  # the token is ours, not generated
            if case.path.endswith("/sights/"):
                left_out.append(positive_data_acceptance)  # one of two filters is needed: OpenAPI has no word for it
            case.validate_response(response, excluded_checks=left_out)

        check()
    assert not faults
