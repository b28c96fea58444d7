"""manage.py paths: where this installation keeps things, for scripts."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Print one location: data (directory) or database (URL; may carry a password)."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["data", "database"])

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(settings.DATA_DIR) if options["what"] == "data" else settings.DATABASE_URL)
