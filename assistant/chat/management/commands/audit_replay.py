"""`manage.py audit_replay ANSWER --as EMAIL`: answers once more from the record and says whether the same comes out.

Prints numbers, never the texts; exit status 1 unless the answer is the same.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import observability
from assistant.accounts.models import User
from assistant.chat import replay
from assistant.errors import AssistantError

_WORDS = {
    "same": "The same engine and passages give the same answer, word for word.",
    "differs": "Another answer comes out ({reason}).",
    "altered": "The stored answer is not the one that was recorded.",
    "erased": "It cannot be replayed ({reason}): what it was made from is erased, as it should be.",
}


class Command(BaseCommand):
    help = "Replay a recorded answer with the same passages and the engine of now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("answer", metavar="ANSWER", help="the answer's id")
        parser.add_argument("--as", dest="email", required=True, metavar="EMAIL", help="the reviewer who asks for it")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active person with the address {options['email']}.")
        with observability.context(actor=f"user:{user.pk}", role=user.role, origin="command:audit_replay"):
            try:
                found = replay.recorded(actor=user, answer_id=options["answer"])
            except AssistantError as error:
                raise CommandError(error.detail) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            self.stdout.write(_WORDS[found.verdict].format(reason=found.reason))
            self.stdout.write(f"event {found.event}; {found.sentences} sentences; differing: {list(found.differing)}")
            self.stdout.write(f"recorded: {' '.join(found.recorded)}\nnow:      {' '.join(found.now)}")
            if found.missing:
                self.stdout.write(f"{found.missing} of its passages are gone")
        if found.verdict != "same":
            sys.exit(1)
