"""manage.py up: run the whole product here (what `make up` calls)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant.runtime import up


class Command(BaseCommand):
    help = "Run web, workers, beat and the private Redis in the foreground; on the first run load the demo company."
    requires_system_checks = ()  # `doctor` explains; starting must not wait

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            status = up.run(host=options["host"], port=options["port"])
        except up.CannotStart as error:
            raise CommandError(str(error)) from error
        if status:
            raise CommandError(f"The supervisor ended with status {status}.")
