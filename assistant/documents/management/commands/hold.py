"""manage.py hold: legal holds, placed, asked to be lifted, lifted, listed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import errors, observability
from assistant.accounts.models import User
from assistant.documents import holds
from assistant.documents.models import HoldKind


class Command(BaseCommand):
    help = (
        "Legal holds. place KIND TARGET --reason: keep a collection (slug), document (id) or person (e-mail). ask "
        "NUMBER --reason, by who manages people, then lift NUMBER, by another who reviews the audit log. list: all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        place = verbs.add_parser("place")
        place.add_argument("kind", choices=HoldKind.values)
        place.add_argument("target")
        place.add_argument("--reason", required=True)
        for name in ("ask", "lift"):
            verbs.add_parser(name).add_argument("number", type=int)
        verbs.choices["ask"].add_argument("--reason", required=True)
        verbs.add_parser("list")
        for each in verbs.choices.values():
            each.add_argument("--as", dest="email", required=True, metavar="EMAIL")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if actor is None:
            raise CommandError(f"There is nobody active with the address {options['email']}.")
        try:
            with observability.context(actor=f"user:{actor.pk}", role=actor.role, origin="command:hold"):
                self._act(actor, options)
        except errors.AssistantError as error:
            words = [error.detail, *(sentence for said in error.fields.values() for sentence in said)]
            raise CommandError(" ".join(words)) from error

    def _act(self, actor: User, options: dict[str, Any]) -> None:
        if options["verb"] == "place":
            row = holds.place(actor=actor, kind=options["kind"], target=options["target"], reason=options["reason"])
            self.stdout.write(f"Hold {row.pk} is in force.")
        elif options["verb"] == "ask":
            holds.ask_to_lift(actor=actor, hold_id=options["number"], reason=options["reason"])
            self.stdout.write("Asked. A reviewer of the audit log, another person, has to agree.")
        elif options["verb"] == "lift":
            holds.lift(actor=actor, hold_id=options["number"])
            self.stdout.write("Lifted.")
        else:
            for row in holds.holds(actor=actor):
                state = f"lifted {row.lifted_at:%Y-%m-%d}" if row.lifted_at else "in force"
                self.stdout.write(f"{row.pk}  {state}  {row.kind} {row.target}  {row.reason}")
