"""`manage.py evaluate [FILE] --json`: asks a file of questions and prints how the product did; the last line is JSON.

Without FILE the golden set is asked and the run is kept, as on the page “Quality”; `--save` makes FILE the golden set.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import observability
from assistant.chat import evaluation
from assistant.errors import AssistantError
from assistant.quality.models import Why


class Command(BaseCommand):
    help = "Ask every question of a file as the person it names; print shares of right answers, silence and leaks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", type=Path, nargs="?", help="questions as JSON lines (see assistant/chat/evaluation.py)"
        )
        parser.add_argument("--save", action="store_true", help="make the file the golden set, and run that")
        parser.add_argument("--json", action="store_true", help="print the figures only, as one JSON object")
        parser.add_argument("--limit", type=int, default=None, help="only the first so many questions")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"] is None or options["save"]:
            self._golden(options["file"])
            return
        said: set[str] = set()

        def say(words: str) -> None:
            if words not in said:
                said.add(words)
                self.stderr.write(words)

        def tell(judged: evaluation.Judged) -> None:
            row = judged.row
            right = judged.second if row.answerable else judged.outcome == "not_found"
            if not options["json"] and (not right or judged.leaks or (row.answerable and not judged.page)):
                words = f"answer {judged.second}, page {judged.page}" if row.answerable else "should be silent"
                self.stdout.write(f"{row.id}: {row.question} [{judged.outcome}; {words}] {judged.said[:200]}")
                self.stdout.write("".join(f"    LEAK to {email}\n" for email in judged.leaks), ending="")

        try:
            rows = evaluation.load(options["file"])[: options["limit"]]
            with observability.context(actor="system", origin="command:evaluate"):
                report = evaluation.run(rows, say=say, on_row=tell)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        except AssistantError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(json.dumps(report.summary()))

    def _golden(self, file: Path | None) -> None:
        """The golden set, asked in this process; exit status 1 when the run raises an alarm."""
        from assistant.quality import running, services

        try:
            with observability.context(actor="system", origin="command:evaluate"):
                if file is not None:
                    services.replace(file.read_text(encoding="utf-8"))
                run = running.whole(Why.HAND, tell=self._asked)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file}: {error}") from error
        except AssistantError as error:
            raise CommandError(error.detail) from error
        for change in run.drift:
            self.stderr.write(
                f"{change['measure']}: {change['before']} -> {change['now']}, change {change['low']} to "
                f"{change['high']} (95 %), chance {change['chance']}{'  ALARM' if change['alarm'] else ''}"
            )
        self.stdout.write(json.dumps({"run": run.pk, "alarm": run.alarm, **run.summary}))
        if run.alarm:
            raise CommandError("The answers have become worse than the reference run, or somebody saw too much.")

    def _asked(self, done: int, count: int) -> None:
        if done == count or done % 10 == 0:
            self.stderr.write(f"{done} of {count} questions")
