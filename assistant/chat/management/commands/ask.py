"""`manage.py ask "…" --as EMAIL [--json]`: asks as a person, with that person's rights, and prints the cited answer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant.accounts.models import User
from assistant.chat.asking import answered
from assistant.chat.models import Outcome
from assistant.chat.presentation import AnswerView, sentence_for
from assistant.chat.streaming import dumps
from assistant.errors import AssistantError


class Command(BaseCommand):
    help = "Ask a question as a person and print the answer with its sources."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--as", dest="email", required=True, metavar="EMAIL", help="the person who asks")
        parser.add_argument("--conversation", default=None, metavar="ID", help="continue this conversation")
        parser.add_argument("--collection", action="append", default=[], metavar="SLUG", help="search only here")
        parser.add_argument("--json", action="store_true", help="print the answer as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active person with the address {options['email']}.")
        try:
            view = answered(
                actor=user,
                question=options["question"],
                conversation_id=options["conversation"],
                collections=options["collection"],
                origin="ask",
                say=self.stderr.write,
            )
        except AssistantError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(dumps(view.as_dict()) if options["json"] else _readable(view))
        if view.outcome not in (Outcome.ANSWERED, Outcome.NOT_FOUND):
            raise CommandError(f"The question was not answered: {view.outcome or view.status} {view.reason}".rstrip())


def _readable(view: AnswerView) -> str:
    """The text, and under it every quotation with its document and page."""
    lines = [sentence_for(view) or view.text]
    for item in view.citations:
        mark = "" if item.verified else "  (not verified)"
        lines += ["", f"[{item.marker}] {item.title}, page {item.page}{mark}", f"    “{' '.join(item.quote.split())}”"]
    return "\n".join(lines)
