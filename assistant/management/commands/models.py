"""manage.py models list | import | verify | remove: the language models installed on this machine."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assistant import engines, observability
from assistant.audit import services as audit
from inference.errors import InferenceError
from inference.store import Manifest


class Command(BaseCommand):
    help = "List, import, verify or remove language models. Nothing is downloaded: import reads files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="do", required=True)
        listing = actions.add_parser("list")
        listing.add_argument("--json", action="store_true", dest="as_json")
        importing = actions.add_parser("import")
        importing.add_argument("path", type=Path)
        importing.add_argument("--name", required=True)
        importing.add_argument("--licence", required=True, help="for instance MIT or Apache-2.0")
        importing.add_argument("--revision", default="", help="the source's revision, if it has one")
        for action in ("verify", "remove"):
            actions.add_parser(action).add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with observability.context(actor="system", origin="command:models"):
                getattr(self, f"_{options['do']}")(options)
        except (InferenceError, FileExistsError) as error:
            raise CommandError(f"{error} {getattr(error, 'hint', '')}".strip()) from error

    def _list(self, options: dict[str, Any]) -> None:
        manifests = list(engines.store().manifests())
        if options["as_json"]:
            self.stdout.write(json.dumps([asdict(manifest) for manifest in manifests], ensure_ascii=False))
            return
        if not manifests:
            self.stdout.write("No language model is installed; answers are quotations (engine “extractive”).")
        for manifest in manifests:
            self._line(manifest)

    def _line(self, manifest: Manifest) -> None:
        self.stdout.write(
            f"{manifest.name}  {manifest.architecture}  {manifest.size / 2**30:.2f} GiB  {manifest.licence}  "
            f"imported {manifest.imported_at} from {manifest.source}"
        )

    def _import(self, options: dict[str, Any]) -> None:
        manifest = engines.store().import_path(
            options["path"],
            name=options["name"],
            licence=options["licence"],
            revision=options["revision"],
            imported_by="command",
        )
        self._record("model.imported", manifest)
        self._line(manifest)

    def _verify(self, options: dict[str, Any]) -> None:
        manifest = engines.store().verify(options["name"])
        self.stdout.write(f"{manifest.name}: {len(manifest.files)} files as imported.")

    def _remove(self, options: dict[str, Any]) -> None:
        manifest = engines.store().manifest(options["name"])
        engines.store().remove(options["name"])
        self._record("model.removed", manifest)
        self.stdout.write(f"{options['name']} removed.")

    @staticmethod
    def _record(action: str, manifest: Manifest) -> None:
        audit.record(
            action=action,
            target=("model", manifest.name),
            detail={"digest": manifest.digest, "size": manifest.size, "licence": manifest.licence},
        )
