"""manage.py erase_person EMAIL: the account and everything of the person, for good."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import errors, observability
from assistant.accounts.models import User
from assistant.chat import persons


class Command(BaseCommand):
    help = "Erase a person: account, conversations, audited texts, keys. Prints the certificate as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--yes", action="store_true", help="do not ask; it cannot be undone")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"There is nobody with the address {options['email']}.")
        if not options["yes"] and input(f"Erase {user.email} for good? Type the address again: ") != user.email:
            raise CommandError("Nothing was erased.")
        try:
            with observability.context(actor="system", origin="command:erase_person"):
                receipt = persons.erase_person(actor=None, user=user)
        except errors.AssistantError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(json.dumps(receipt))
        self.stderr.write(
            "Older archives hold the name and the address until they are destroyed; the texts in them are lost once "
            "a new backup of the keys has replaced the old one. “manage.py vault rotate” settles stale copies."
        )
