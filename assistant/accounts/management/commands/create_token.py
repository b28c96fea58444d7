"""`manage.py create_token EMAIL`: prints a new bearer token, and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assistant import observability
from assistant.accounts import services
from assistant.accounts.models import User
from assistant.errors import AssistantError


class Command(BaseCommand):
    help = "Make an API token for a person and print it. It is shown only here."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="command line")
        parser.add_argument("--scope", action="append", default=[], choices=services.TOKEN_SCOPES)
        parser.add_argument("--days", type=int, default=0, help="days until it expires (default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"There is nobody with the address {options['email']}.")
        expires_at = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        with observability.context(actor="system", origin="command:create_token"):
            try:
                _token, raw = services.issue_token(
                    actor=None, user=user, name=options["name"], scopes=options["scope"], expires_at=expires_at
                )
            except AssistantError as error:
                raise CommandError(error.detail) from error
        self.stdout.write(raw)
