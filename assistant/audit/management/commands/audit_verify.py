"""`manage.py audit_verify`: walks the chain; names the first bad record; exit status 1 when there is one."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant.audit import exported, keys, reading, services


class Command(BaseCommand):
    help = "Verify the audit log, or with --export a file that was exported from it (no database needed)."
    requires_system_checks: list[str] = []  # noqa: RUF012  (Django's own declaration)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--export", type=Path, metavar="FILE")
        parser.add_argument("--public-key", default="", metavar="HEX", help="the key that must have signed the export")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        ours = services.current_keys()
        if options["export"]:
            key = options["public_key"] or ours.public
            try:
                report = exported.verify_file(
                    options["export"], public_key=key, mac_key=ours.mac if key == ours.public else None
                )
            except (OSError, ValueError) as error:
                raise CommandError(str(error)) from error
        else:
            report = reading.verify_log()
        if options["json"]:
            self.stdout.write(json.dumps({"ok": report.ok, **asdict(report)}))
        else:
            self.stdout.write(exported.words(report))
            for note in report.notes:
                self.stdout.write(note)
            self.stdout.write(f"key fingerprint {keys.fingerprint(ours.public)}")
        if not report.ok:
            sys.exit(1)
