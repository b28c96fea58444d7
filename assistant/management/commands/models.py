"""The language models of this machine: manage.py models list | pull | install | import | verify | quantize | activate |
deactivate | evaluate | benchmark | remove, and the workbench: questions | distil | prune | finetune | reproduce. Only
pull and install open a connection to the outside."""

from __future__ import annotations

import json
from argparse import REMAINDER, ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from assistant import egress, engines, observability
from assistant.chat.evaluation import People
from assistant.errors import AssistantError
from assistant.quality import files, gate, workbench
from assistant.quality.models import QuestionFile, Split
from assistant.registry import activation, adapting, benchmarking, importing, installing, quantizing
from inference.errors import InferenceError, in_full
from inference.store import Limits, Manifest, pulling


class Command(BaseCommand):
    help = "The language models of this machine. Only pull and install open a connection outside; import reads files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="do", required=True)
        listing = actions.add_parser("list")
        listing.add_argument("--json", action="store_true", dest="as_json")
        importing = actions.add_parser("import")
        importing.add_argument("path", type=Path)
        importing.add_argument("--name", required=True)
        importing.add_argument("--licence", required=True, help="for instance MIT or Apache-2.0")
        importing.add_argument("--revision", default="", help="the source's revision, if it has one")
        importing.add_argument("--on", default="", help="PATH is a LoRA adapter: the model it goes on top of")
        pull = actions.add_parser("pull", help="fetch one exact revision; the only command that leaves the building")
        pull.add_argument("repository", help="OWNER/NAME")
        pull.add_argument("--revision", required=True, help="the 40 digits of a commit")
        pull.add_argument("--file", default="", help="of a repository with several GGUF files: the one to fetch")
        pull.add_argument("--name", help="what to call it here; else the repository's or the file's name")
        pull.add_argument("--licence", default="", help="as the model's page says")
        pull.add_argument("--hub", default=settings.MODEL_HUB)
        pull.add_argument(
            "--bundle", type=Path, help="only write the files here, for import on a machine without a network"
        )
        install = actions.add_parser("install", help="pull, check, quantize as suits this machine, and activate")
        install.add_argument("repository", help="OWNER/NAME")
        install.add_argument("--revision", default="", help="the 40 digits of a commit; else the present one, pinned")
        install.add_argument("--file", default="", help="of a repository with several GGUF files: the one to fetch")
        install.add_argument("--hub", default=settings.MODEL_HUB)
        self._add_quantize(actions.add_parser("quantize", help="write a quantized copy, if it passes its quality gate"))
        activating = actions.add_parser("activate", help="let this model answer; running workers change to it")
        activating.add_argument("name")
        activating.add_argument("--quantization", choices=activation.RECIPES, default="auto")
        activating.add_argument("--evaluate", action="store_true", help="run the golden set on it first")
        activating.add_argument("--reason", default="", help="why it may answer without an evaluation; recorded")
        actions.add_parser("deactivate", help="answer with quotations again")
        measuring = actions.add_parser("benchmark", help="speed, memory, nearness to the unquantized model, answers")
        measuring.add_argument("name")
        measuring.add_argument(
            "--quantization", choices=activation.RECIPES, default="auto", help="auto: as the model is stored"
        )
        measuring.add_argument("--text", type=Path, help="to measure nearness on; else pages of the demo company")
        measuring.add_argument("--against", default="", help="of a GGUF model: the installed model it was made from")
        measuring.add_argument("--users", default="1,8")
        measuring.add_argument("--tokens", type=int, default=64)
        measuring.add_argument(
            "--questions", type=Path, help="a JSON Lines file of questions, as `models questions --export` writes it"
        )
        for tool in workbench.RECIPES:
            making = actions.add_parser(tool, help=f"make a new model: every option of {workbench.RECIPES[tool]}")
            making.add_argument("name", help="what the new model is called")
            making.add_argument(
                "options",
                nargs=REMAINDER,
                help="of the workbench, and --licence L, --questions FILE --as EMAIL [--disclose REASON]",
            )
        again = actions.add_parser("reproduce", help="run a model's card again and compare")
        again.add_argument("name")
        again.add_argument(
            "options", nargs=REMAINDER, help="of inference.runs.reproduce, and --questions FILE --as EMAIL"
        )
        judging = actions.add_parser("evaluate", help="run the golden set on an installed model; nothing is activated")
        judging.add_argument("name")
        judging.add_argument("--quantization", choices=activation.RECIPES, default="auto")
        asking = actions.add_parser(
            "questions", help="question files from documents or good answers; without more: list"
        )
        asking.add_argument("--as", dest="email", required=True, help="an administrator who manages the collection")
        wanted = asking.add_mutually_exclusive_group()
        wanted.add_argument("--collection", help="make one from its documents")
        wanted.add_argument("--conversations", action="store_true", help="make one from answers found good")
        wanted.add_argument("--export", metavar="FILE", help="write train.jsonl and test.jsonl to --to")
        wanted.add_argument("--remove", metavar="FILE")
        asking.add_argument("--to", type=Path)
        asking.add_argument("--seed", type=int, default=1, help="of the split by document")
        for action in ("verify", "remove"):
            actions.add_parser(action).add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with observability.context(actor="system", origin="command:models"):
                do = "made" if options["do"] in workbench.RECIPES else options["do"]
                getattr(self, f"_{do}")(options)
        except (InferenceError, AssistantError, FileExistsError, ValueError) as error:
            raise CommandError(in_full(error)) from error
        except OSError as error:
            raise CommandError(f"A file could not be read or written: {error}.") from error

    @staticmethod
    def _add_quantize(parser: ArgumentParser) -> None:
        allowed = quantizing.limits()
        parser.add_argument("name")
        parser.add_argument("--recipe", choices=quantizing.RECIPES, required=True)
        parser.add_argument("--as", dest="target", default="", help="what to call it; else NAME-RECIPE")
        parser.add_argument("--text", type=Path, help="a UTF-8 file to measure on; else pages of the demo company")
        parser.add_argument("--max-perplexity-loss", type=float, default=allowed.max_loss, help="0.05 is five per cent")
        parser.add_argument(
            "--min-agreement", type=float, default=allowed.min_agreement, help="of the next token, 0 to 1"
        )
        parser.add_argument("--force", action="store_true", help="install it past these limits; that is recorded")

    def _quantize(self, options: dict[str, Any]) -> None:
        manifest = quantizing.quantize(
            name=options["name"],
            recipe=options["recipe"],
            target=options["target"],
            text=options["text"],
            allowed=Limits(options["max_perplexity_loss"], options["min_agreement"]),
            force=options["force"],
            told=self._step,
        )
        self._line(manifest)

    def _step(self, stage: str, done: int, total: int) -> None:
        self.stderr.write(f"{stage}: {done} of {total}", ending="\n" if done == total else "\r")

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
            f"{manifest.name}  {manifest.architecture} ({manifest.kind})  {manifest.size / 2**30:.2f} GiB  "
            f"{manifest.licence}  imported {manifest.imported_at} from {manifest.source}"
        )
        if adapter := manifest.adapter:
            self.stdout.write(
                f"    {adapter.base} ({adapter.base_licence}) with the adapter {adapter.name}, "
                f"{adapter.size / 2**20:.1f} MiB, sha256 {adapter.sha256}"
            )
        if manifest.recipe:
            gate = manifest.gate
            words = f"{gate.words}{', forced' if gate.forced else ''}" if gate else "not measured"
            self.stdout.write(f"    {manifest.recipe}: {words}")

    def _import(self, options: dict[str, Any]) -> None:
        facts = {"licence": options["licence"], "revision": options["revision"], "told": self._step}
        if options["on"]:
            self._line(adapting.take_in(options["path"], options["name"], base=options["on"], **facts))
        else:
            self._line(importing.take_in(options["path"], options["name"], **facts))

    def _verify(self, options: dict[str, Any]) -> None:
        manifest = engines.store().verify(options["name"], self._step)
        self.stdout.write(f"{manifest.name}: {len(manifest.files)} files as imported.")

    def _pull(self, options: dict[str, Any]) -> None:
        repository, revision, hub = options["repository"], options["revision"], options["hub"].rstrip("/")
        file, allow, told = options["file"], egress.allow_also, self._told
        if bundle := options["bundle"]:
            pulling.pull(repository, revision=revision, into=bundle, hub=hub, file=file, allow=allow, told=told)
            self.stdout.write(f"{bundle} holds {repository} at {revision}; import it where it is needed.")
            return
        licence, name = options["licence"], options["name"] or ""
        self._line(
            installing.pull(repository, revision=revision, hub=hub, file=file, name=name, licence=licence, told=told)
        )

    def _install(self, options: dict[str, Any]) -> None:
        row = installing.install(
            options["repository"],
            revision=options["revision"],
            hub=options["hub"].rstrip("/"),
            file=options["file"],
            say=self.stdout.write,
            told=self._told,
            step=self._step,
        )
        self.stdout.write(f"{row.name} answers as soon as the workers have loaded it.")

    def _told(self, path: str, done: int, total: int) -> None:
        """Of a file that is fetched; at its end and at every sixteenth piece of a mebibyte."""
        if done == total:
            self.stderr.write(f"{path}: {total} bytes")
        elif total > 0 and done % 2**24 < 2**20:
            self.stderr.write(f"{path}: {done / 2**20:.0f} of {total / 2**20:.0f} MiB", ending="\r")

    def _activate(self, options: dict[str, Any]) -> None:
        name, recipe = options["name"], options["quantization"]
        if options["evaluate"]:
            self._measured(name, recipe)
        row = gate.activate(actor=None, name=name, quantization=recipe, reason=options["reason"])
        self.stdout.write(f"{row.name} ({row.quantization}) answers as soon as the workers have loaded it.")

    def _measured(self, name: str, recipe: str) -> None:
        """The golden set, asked of an installed model in this process; its figures stay on record."""
        from assistant.quality import running

        activation.check_recipe(recipe)
        run = running.candidate(name, recipe, tell=self._asked)
        self.stdout.write(json.dumps({"run": run.pk, "model": name, "recipe": recipe, **run.summary}))

    def _asked(self, done: int, count: int) -> None:
        self.stderr.write(f"{done} of {count} questions", ending="\n" if done == count else "\r")

    def _evaluate(self, options: dict[str, Any]) -> None:
        self._measured(options["name"], options["quantization"])

    def _made(self, options: dict[str, Any]) -> None:
        """A run of the workbench, resumed when the same command is given again; its model is installed."""
        licence, questions, rest = self._ours(options)
        manifest, results = workbench.run(
            options["do"], name=options["name"], options=rest, licence=licence, questions=questions
        )
        self._line(manifest)
        self.stdout.write(json.dumps(results))

    @staticmethod
    def _ours(options: dict[str, Any]) -> tuple[str, workbench.Questions | None, list[str]]:
        """(licence, question file, the workbench's own options) of what follows the name."""
        own = ArgumentParser(prog=f"models {options['do']}", allow_abbrev=False, add_help=False)
        for flag in ("--licence", "--questions", "--as", "--disclose"):
            own.add_argument(flag, default="")
        ours, rest = own.parse_known_args(options["options"])
        if not ours.questions:
            return ours.licence, None, rest
        return ours.licence, workbench.Questions(People()[getattr(ours, "as")], ours.questions, ours.disclose), rest

    def _reproduce(self, options: dict[str, Any]) -> None:
        """Exit status 1 when the numbers differ. The run's folder is found by the model's name."""
        from inference.runs import reproduce

        folder = workbench.folder_of(options["name"])
        questions, given = self._ours(options)[1:]
        if not (folder / "card.json").is_file():
            raise CommandError(f"{folder} holds no finished run: only what was made on this machine can be run again.")
        if "--out" not in given:
            given += ["--out", str(folder.with_name(f"{options['name']}.again"))]
        with workbench.taken_out(options["name"], questions):
            status = reproduce.main([str(folder), *given])
        if status:
            words = "The run did not give the same numbers." if status == 1 else "The run could not be repeated."
            raise CommandError(words, returncode=status)

    def _questions(self, options: dict[str, Any]) -> None:
        actor = People()[options["email"]]
        with observability.context(actor=f"user:{actor.pk}", role=actor.role):
            if options["export"]:
                if options["to"] is None:
                    raise CommandError("Name a folder with --to.")
                self.stdout.write(
                    json.dumps(files.export(actor=actor, file_id=options["export"], folder=options["to"]))
                )
            elif options["remove"]:
                files.remove(actor=actor, file_id=options["remove"])
            elif options["collection"] or options["conversations"]:
                made = (
                    files.make_from_conversations(actor=actor, seed=options["seed"])
                    if options["conversations"]
                    else files.make(actor=actor, collection=options["collection"], seed=options["seed"])
                )
                self._file(made)
            else:
                for file in files.files(actor):
                    self._file(file)

    def _file(self, file: QuestionFile) -> None:
        sides = {side: file.items.filter(split=side).count() for side in Split.values}
        source = file.collection.slug if file.collection else "conversations"
        body = {"file": str(file.pk), "from": source, **sides, "for_everyone": files.for_everyone(file)}
        self.stdout.write(json.dumps(body))

    def _deactivate(self, options: dict[str, Any]) -> None:
        activation.deactivate()
        self.stdout.write("Answers are quotations again.")

    def _benchmark(self, options: dict[str, Any]) -> None:
        """One line each for people, and all of them as one line of JSON."""
        from inference.evaluation import asked

        body = benchmarking.measure(
            options["name"],
            benchmarking.Wanted(
                benchmarking.users_in(options["users"]),
                options["tokens"],
                options["quantization"],
                options["against"],
                options["text"],
                asked.questions(options["questions"]) if options["questions"] else (),
            ),
            told=self._step,
        )
        for key, value in body.items():
            self.stdout.write(f"{key:<16} {value}")
        self.stdout.write(json.dumps(body))

    def _remove(self, options: dict[str, Any]) -> None:
        activation.remove(options["name"])
        self.stdout.write(f"{options['name']} removed.")
