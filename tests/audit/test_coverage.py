"""The map of addresses and tasks is whole, true and pinned. That each address leaves what the map says is seen in
`tests/test_endpoints.py`, which calls every one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from assistant.audit import catalogue, coverage
from assistant.celery import app

PUBLIC = "account_login"  # sends signed-in people away
CLOSED = "account_signup"  # says so to every verb


def patterns(resolver: URLResolver, space: str = "", route: str = "") -> Iterator[tuple[str, str]]:
    """(view name, route) of every address."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield f"{space}{pattern.name}", route + str(pattern.pattern)
        else:
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from patterns(pattern, inner, route + str(pattern.pattern))


def path(route: str) -> str:
    """An address of this form, to things that do not exist."""
    for kind, value in {
        "uuid": "00000000-0000-4000-8000-000000000000", "int": "1", "slug": "a", "grant": "user-1", "str": "a"
    }.items():  # fmt: skip
        while f"<{kind}:" in route:
            before, _, rest = route.partition(f"<{kind}:")
            route = f"{before}{value}{rest.partition('>')[2]}"
    return f"/{route}"


def test_every_address_is_mapped_and_every_mapped_address_exists():
    assert {name for name, _ in patterns(get_resolver())} == set(coverage.ADDRESSES)


@pytest.mark.django_db
def test_every_method_of_every_address_is_mapped(people):
    """A verb that no view knows is answered with those it knows (RFC 9110, section 15.5.6)."""
    boss = Client()
    boss.force_login(people.administrator)
    wrong = {}
    for name, route in patterns(get_resolver()):
        client = Client() if name == PUBLIC else boss
        response = client.generic("PROBE", path(route))
        if name == CLOSED:
            continue
        assert response.status_code == 405, name
        known = {verb.strip() for verb in response["Allow"].split(",")} - {"HEAD", "OPTIONS"}
        if known != set(coverage.ADDRESSES[name].methods):
            wrong[name] = known
    assert wrong == {}


def test_every_task_is_mapped_and_every_mapped_task_exists():
    for room in ("", ".audit", ".chat", ".documents", ".quality"):
        importlib.import_module(f"assistant{room}.tasks")
    assert {name for name in app.tasks if not name.startswith("celery.")} == set(coverage.TASKS)
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled <= set(coverage.TASKS)


def test_every_command_is_mapped_and_every_mapped_command_exists():
    ours = {name for name, room in get_commands().items() if str(room).startswith("assistant")}
    assert ours == set(coverage.COMMANDS)


def test_every_action_is_left_by_something():
    """What no address, task or command records would be a word without meaning."""
    left = [*coverage.TASKS.values(), *coverage.COMMANDS.values()]
    left += [item for address in coverage.ADDRESSES.values() for item in address.methods.values()]
    assert {action for item in left for action in item.actions} | {"access.denied"} == (
        set(catalogue.ACTIONS) - set(coverage.UNUSED)
    )


def test_a_change_of_catalogue_or_map_is_a_new_version():
    assert catalogue.PINNED[catalogue.VERSION] == coverage.digest(), (
        "The catalogue or the map of addresses has changed. Raise VERSION in assistant/audit/catalogue.py and add the "
        f'digest to PINNED: {catalogue.VERSION + 1}: "{coverage.digest()}"'
    )
    assert max(catalogue.PINNED) == catalogue.VERSION


def test_nothing_in_the_map_is_unknown_to_the_catalogue():
    with pytest.raises(ValueError, match="catalogue"):
        coverage._left("document.devoured")
    with pytest.raises(KeyError):
        coverage._left("-because")
