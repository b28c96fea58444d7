"""`manage.py ingest PATH --collection SLUG --as EMAIL [--wait] [--watch]`: a file or a folder into a collection."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import observability
from assistant.accounts.models import User
from assistant.documents import folders, policy
from assistant.documents.models import Collection, Document, DocumentVersion, Status
from assistant.errors import AssistantError
from retrieval.parsing import supported_media_types


class Command(BaseCommand):
    help = "Upload a file, or every readable file of a folder; what is unchanged is skipped, so it can be repeated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--collection", required=True, metavar="SLUG")
        parser.add_argument("--as", required=True, dest="email", metavar="EMAIL", help="who uploads")
        parser.add_argument(
            "--wait", action="store_true", help="until everything has been read; fails if something was not"
        )
        parser.add_argument(
            "--watch",
            action="store_true",
            help="look again every few seconds, until interrupted; a removed file is named, its document stays",
        )
        parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="how often --watch looks")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        if not path.exists():
            raise CommandError(f"{path} does not exist.")
        actor = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if actor is None:
            raise CommandError(f"There is nobody with the address {options['email']}.")
        with observability.context(actor=f"user:{actor.pk}", role=actor.role, origin="command:ingest"):
            try:
                collection = policy.get_managed_collection(actor, options["collection"])
            except AssistantError as error:
                slug = options["collection"]
                raise CommandError(f"{actor.email} manages no collection “{slug}”.") from error
            self._work(actor, collection, path, options)

    def _work(self, actor: User, collection: Collection, path: Path, options: dict[str, Any]) -> None:
        memory = folders.Memory() if options["watch"] else None
        try:
            documents, refused = self._round(actor, collection, path, memory, quiet=False)
            if options["wait"]:
                refused += self._wait(documents)
            while memory is not None:
                time.sleep(options["every"])
                try:
                    documents, _ = self._round(actor, collection, path, memory, quiet=True)
                except AssistantError as error:
                    if not error.retryable:
                        raise
                    self.stderr.write(f"{error.detail} The next round tries again.")
                    continue
                if options["wait"]:
                    self._wait(documents)
        except KeyboardInterrupt:
            self.stderr.write("Stopped. What was accepted goes on being read; run it again for the rest.")
            return
        except AssistantError as error:
            raise CommandError(error.detail) from error
        if refused:
            raise CommandError(f"{refused} file(s) could not be taken or read.")

    def _round(
        self, actor: User, collection: Collection, path: Path, memory: folders.Memory | None, *, quiet: bool
    ) -> tuple[list[Document], int]:
        counts = {"new": 0, "changed": 0, "unchanged": 0, "refused": 0, "gone": 0}
        documents = []
        for taken in folders.take(actor=actor, collection=collection, path=path, memory=memory):
            counts[taken.what] += 1
            if taken.document is not None:
                documents.append(taken.document)
            if taken.what != "unchanged":
                self.stdout.write(f"{taken.what:<9} {taken.path}{f': {taken.reason}' if taken.reason else ''}")
        if not quiet:
            self.stdout.write(", ".join(f"{number} {what}" for what, number in counts.items() if number) or _none(path))
        return documents, counts["refused"]

    def _wait(self, documents: list[Document]) -> int:
        total = len(documents)
        done = 0

        def told(version: DocumentVersion) -> None:
            nonlocal done
            done += 1
            words = f": {version.error}" if version.error else f": {version.pages_total} page(s)"
            self.stdout.write(f"[{done}/{total}] {version.status:<11} {version.filename}{words}")

        ended = folders.wait(documents, told=told)
        return sum(version.status != Status.READY for version in ended)


def _none(path: Path) -> str:
    """What to do when there was nothing to take."""
    kinds = ", ".join(sorted({kind for known in supported_media_types().values() for kind in known}))
    return f"{path} holds no file that can be read (hidden ones are left out). Put some in and run this again: {kinds}."
