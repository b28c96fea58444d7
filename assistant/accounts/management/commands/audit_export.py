"""`manage.py audit_export --as EMAIL`: the audit log, or what the filters select, to a file or to a log collector."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assistant import observability
from assistant.accounts import review
from assistant.accounts.models import User
from assistant.audit.reading import Filters
from assistant.errors import AssistantError


class Command(BaseCommand):
    help = "Writes audit events to standard output, or sends them as CEF over syslog; that it was done is on record."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as", dest="email", required=True, metavar="EMAIL", help="the reviewer who asks for it")
        parser.add_argument("--format", default="jsonl", choices=sorted(review.FORMATS))
        parser.add_argument(
            "--syslog", default="", metavar="ADDRESS", help="udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH"
        )
        parser.add_argument("--person", default="", help="an e-mail address, user:ID or system")
        parser.add_argument("--action", default="", help="a name, or a family as document.")
        parser.add_argument("--since", type=_moment, metavar="TIME", help="from then on, as 2026-01-31T08:00")
        parser.add_argument("--until", type=_moment, metavar="TIME", help="before then")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active person with the address {options['email']}.")
        if options["syslog"] and options["format"] != "cef":
            raise CommandError("Only --format cef travels over syslog.")
        filters = Filters(
            actor=options["person"], action=options["action"], since=options["since"], until=options["until"]
        )
        with observability.context(actor=f"user:{user.pk}", role=user.role, origin="command:audit_export"):
            try:
                if options["syslog"]:
                    count = review.send(actor=user, address=options["syslog"], filters=filters)
                    self.stdout.write(f"{count} events sent to {options['syslog']}")
                    return
                _, lines = review.export(actor=user, form=options["format"], filters=filters)
                sys.stdout.writelines(lines)
            except AssistantError as error:
                raise CommandError(error.detail) from error


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if timezone.is_aware(found) else timezone.make_aware(found)
