"""manage.py vault: the keys of everything at rest."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import observability
from assistant.audit import services as audit
from assistant.chat import restoring
from assistant.documents import sealing
from assistant.vault import services
from assistant.vault.envelope import Damaged
from assistant.vault.errors import VaultError


class Command(BaseCommand):
    help = (
        "Keys of everything at rest. status: how many there are, and whether the master key opens them. seal: seal "
        "originals from before the vault. rotate: a new master key; every data key is wrapped anew. export FILE: the "
        "wrapped keys, for a backup of their own, replaced each time. load FILE: take them over after a restore. "
        "forget: erase from a restored backup what was erased since it was made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for name in ("status", "seal", "rotate", "forget"):
            verbs.add_parser(name)
        for name in ("export", "load"):
            verbs.add_parser(name).add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        with observability.context(actor="system", origin="command:vault"):
            try:
                getattr(self, f"_{options['verb']}")(options)
            except (VaultError, Damaged) as error:
                raise CommandError(str(error)) from error

    def _status(self, options: dict[str, Any]) -> None:
        services.check()
        counts = services.counts()
        living = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()) if kind != "destroyed")
        self.stdout.write(f"Living keys: {living or 'none yet'}. Destroyed: {counts['destroyed']}.")
        self.stdout.write(f"Originals not sealed yet: {sealing.unsealed().count()}.")

    def _seal(self, options: dict[str, Any]) -> None:
        done, missing = sealing.seal_originals()
        self.stdout.write(f"Sealed {done} originals; {missing} are not on this host.")

    def _rotate(self, options: dict[str, Any]) -> None:
        audit.intent(action="vault.rotated")
        roots, leaves = services.rotate()
        audit.record(action="vault.rotated", detail={"roots": roots, "leaves": leaves})
        self.stdout.write(
            f"Wrapped {roots} roots and {leaves} keys anew. Write a new backup of the keys (deploy/backup.sh) and "
            "destroy older ones; if VAULT_KEY comes from the environment, remove VAULT_KEY_PREVIOUS everywhere."
        )

    def _export(self, options: dict[str, Any]) -> None:
        path: Path = options["file"]
        path.write_text(json.dumps(list(services.export())), encoding="ascii")
        path.chmod(0o600)

    def _load(self, options: dict[str, Any]) -> None:
        try:
            count = services.load(json.loads(options["file"].read_text(encoding="ascii")))
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"The file of keys was not taken over: {error}") from error
        self.stdout.write(f"{count} keys are here.")

    def _forget(self, options: dict[str, Any]) -> None:
        receipt = restoring.forget_what_was_erased()
        self.stdout.write(", ".join(f"{name}: {number}" for name, number in receipt.items()))
