"""The two commands an operator starts with."""

import io

import pytest
from django.core.management import CommandError, call_command

from assistant.accounts import services
from assistant.accounts.models import User
from assistant.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


def run(*args):
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_create_user_prints_a_password_that_works():
    words = run("create_user", "ada@company.example", "--role", "administrator")
    password = words.split()[-1]
    user = User.objects.get()
    assert user.check_password(password)
    assert user.role == "administrator"
    event = AuditEvent.objects.get()
    assert (event.actor, event.origin) == ("system", "command:create_user")


def test_create_user_reads_the_password_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("velvet-orbit-2931\n"))
    words = run("create_user", "ada@company.example", "--password-stdin")
    assert "velvet" not in words
    assert User.objects.get().check_password("velvet-orbit-2931")


def test_create_user_says_what_is_wrong(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(CommandError, match="too short"):
        run("create_user", "ada@company.example", "--password-stdin")
    with pytest.raises(CommandError, match="e-mail"):
        run("create_user", "ada")


def test_create_token_prints_the_token_alone(people):
    raw = run("create_token", "employee@company.example", "--name", "tool").strip()
    token = services.authenticate_token(raw)
    assert token.user == people.employee
    assert token.name == "tool"


def test_create_token_needs_an_existing_person():
    with pytest.raises(CommandError, match="nobody"):
        run("create_token", "ghost@company.example")
