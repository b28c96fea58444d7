"""`manage.py audit_roles ROLE`: let ROLE run the product without being able to lift the audit triggers (PostgreSQL)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from assistant.audit import roles


class Command(BaseCommand):
    help = "Give a database role what the product needs, but not the audit tables' triggers. Run as the tables' owner."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", help="a role made with CREATE ROLE … LOGIN, for the product's DATABASE_URL")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                roles.grant(connection, options["role"])
        except roles.RoleUnfit as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{options['role']} can run the product and cannot lift the audit triggers. "
            "Name it in DATABASE_URL, and keep the owner's address for `manage.py migrate` alone."
        )
