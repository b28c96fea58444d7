"""manage.py doctor: hardware, models, services and every setting that is weak or wrong."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant.runtime import diagnosis

MARKS = {"good": "ok     ", "note": "note   ", "warning": "warning", "error": "ERROR  "}


class Command(BaseCommand):
    help = "Explain this machine, the models, the services and the settings; exit status 1 when something is an error."
    requires_system_checks = ()  # it reports them itself

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        sections = diagnosis.diagnose()
        if options["as_json"]:
            body = {name: [finding.as_dict() for finding in findings] for name, findings in sections.items()}
            self.stdout.write(json.dumps(body, ensure_ascii=False))
        else:
            for name, findings in sections.items():
                self.stdout.write(f"\n{name}")
                for finding in findings:
                    self.stdout.write(f"  {MARKS[finding.level]}  {finding.id:<24} {finding.words}")
                    if finding.hint:
                        self.stdout.write(f"{'':<35} -> {finding.hint}")
        errors = [finding.id for findings in sections.values() for finding in findings if finding.level == "error"]
        if errors:
            raise CommandError(f"Errors: {', '.join(errors)}", returncode=1)
