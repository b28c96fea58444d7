"""`manage.py create_user EMAIL --role ROLE`: a person, from the host's command line."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import observability
from assistant.accounts import services
from assistant.accounts.roles import Role
from assistant.errors import AssistantError


class Command(BaseCommand):
    help = "Create a person who can sign in. Without --password-stdin a password is made and printed once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", choices=Role.values, default=Role.EMPLOYEE)
        parser.add_argument("--name", default="")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        given = sys.stdin.readline().rstrip("\n") if options["password_stdin"] else None
        password = given if given is not None else services.generate_password()
        with observability.context(actor="system", origin="command:create_user"):
            try:
                user = services.create_user(
                    actor=None, email=options["email"], name=options["name"], role=options["role"], password=password
                )
            except AssistantError as error:
                reasons = [message for messages in error.fields.values() for message in messages]
                raise CommandError(" ".join([error.detail, *reasons])) from error
        self.stdout.write(f"{user.email} is now {user.get_role_display()}.")
        if given is None:
            self.stdout.write(f"Password (shown once): {password}")
