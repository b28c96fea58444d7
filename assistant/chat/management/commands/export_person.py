"""manage.py export_person EMAIL: what is kept about a person, as JSON."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from assistant import errors, observability
from assistant.accounts.models import User
from assistant.chat import persons


class Command(BaseCommand):
    help = "Write what is kept about a person as JSON, for that person (GDPR article 15). On record."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--output", type=Path, help="a file, made with mode 0600 (default: standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"There is nobody with the address {options['email']}.")
        try:
            with observability.context(actor="system", origin="command:export_person"):
                data = persons.export_person(actor=None, user=user)
        except errors.AssistantError as error:
            raise CommandError(error.detail) from error
        text = json.dumps(data, ensure_ascii=False, indent=2, cls=DjangoJSONEncoder)
        if options["output"] is None:
            self.stdout.write(text)
            return
        with os.fdopen(os.open(options["output"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
