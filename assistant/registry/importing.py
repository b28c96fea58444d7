"""Models that an administrator laid into the drop folder: what lies there, and bringing one in.

Knows the drop folder, the store, the audit log and the jobs that the models page starts. A folder of a model, a bundle
that `models pull --bundle` wrote, or a GGUF file; what is there is copied, and left to whoever put it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings

from assistant import engines, observability
from assistant.audit import services as audit
from assistant.errors import Invalid, NotFound
from assistant.guardrails import sanitize
from assistant.models import JobKind, ModelJob
from assistant.registry import adapting, jobs
from inference.errors import InferenceError, in_full
from inference.store import Manifest, adapters, pulling, selected

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Dropped:
    """One thing in the drop folder. `size` in bytes of what would be imported; `problem`: why it cannot be."""

    entry: str
    size: int = 0
    files: int = 0
    name: str = ""  # that it may have here
    licence: str = ""  # that its card names
    problem: str = ""
    adapter: bool = False  # it goes on top of a model
    trained_on: str = ""  # what an adapter says of that model
    bases: tuple[str, ...] = ()  # the installed models of its kind


def folder() -> Path:
    return settings.MODELS_DROP_DIR


def dropped() -> list[Dropped]:
    """What lies there, by name; the folder is made when it is not there. Reads no weights, only names, sizes and the
    head of a model card."""
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        return [_look(path) for path in islice(_entries(), MOST_SHOWN)]
    except OSError as error:
        return [Dropped(folder().name, problem=f"The folder cannot be read: {error.strerror}.")]


def _entries() -> Iterator[Path]:
    """Nothing hidden, no links: those might lead anywhere. The first part of a GGUF file stands for all."""
    if not folder().is_dir():
        return
    for path in sorted(folder().iterdir()):
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir() or (path.suffix.lower() == ".gguf" and "-of-" not in path.stem) or "-00001-of-" in path.stem:
            yield path


def _look(path: Path) -> Dropped:
    try:
        lora = adapters.find(path)
        chosen = selected(path)
        size = sum(each.stat().st_size for each in chosen)
        licence = pulling.licence_of(path) if path.is_dir() else ""
    except (InferenceError, OSError) as error:
        return Dropped(path.name, problem=in_full(error))
    stem = path.name if path.is_dir() else path.stem.partition("-00001-of-")[0]
    found = Dropped(path.name, size, len(chosen), sanitize.title(stem.replace(" ", "-"), limit=100), licence)
    if lora is None:
        return found
    trained_on = sanitize.title(lora.trained_on, limit=200)
    return replace(found, adapter=True, trained_on=trained_on, bases=tuple(adapting.bases(lora)))


def begin(*, entry: str, name: str, licence: str, revision: str = "", base: str = "") -> ModelJob:
    """A job for a worker; `base` is the installed model that an adapter goes on top of. Raises NotFound (nothing of
    that name lies there), Invalid, Conflict, FileExistsError, inference.errors.InferenceError (what lies there cannot
    be imported)."""
    path = _path(entry)
    name, licence, revision = name.strip(), licence.strip(), revision.strip()
    for field, value in (("licence", licence), ("revision", revision)):
        if len(value) > 100 or (field == "licence" and not value):
            words = "Name the licence as the model's page does." if not value else "Use at most 100 characters."
            raise Invalid(words, fields={field: [words]})
    engines.store().check_free(name)
    settings.MODELS_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_base(path, base)
    jobs.check_room(sum(each.stat().st_size for each in selected(path)), "are needed")
    return jobs.start(
        JobKind.IMPORT, target=name, name=entry, licence=licence, revision=revision, options={"base": base}
    )


def _check_base(path: Path, base: str) -> None:
    """An adapter names its base, and nothing else does. Raises Invalid, Conflict, InferenceError."""
    words = ""
    if base and base not in engines.store().names():
        words = "No model of that name is installed."
    elif base:
        adapting.check(path, base)
    elif adapters.find(path) is not None:
        words = "This is a LoRA adapter: name the installed model that it goes on top of."
    if words:
        raise Invalid(words, fields={"base": [words]})


def _path(entry: str) -> Path:
    """Only what is listed: a name is no path. Raises NotFound."""
    for path in _entries():
        if path.name == entry:
            return path
    raise NotFound


def work(job: ModelJob, told: jobs.Told) -> dict[str, Any]:
    """Do such a job. Raises NotFound (it was taken away meanwhile), Invalid, Conflict, FileExistsError,
    InferenceError."""
    path, facts = _path(job.name), {"licence": job.licence, "revision": job.revision}
    if base := job.options.get("base", ""):
        return {"digest": adapting.take_in(path, job.target, base=base, told=told, **facts).digest}
    return {"digest": take_in(path, job.target, told=told, **facts).digest}


def take_in(path: Path, name: str, licence: str, revision: str = "", *, told: jobs.Told | None = None) -> Manifest:
    """Copy a model into the store, checked, on record. Raises Invalid, FileExistsError, InferenceError."""
    actor = observability.current().actor
    try:
        _check_base(path, "")
        manifest = engines.store().import_path(
            path,
            name=name,
            licence=licence,
            revision=revision,
            imported_by=actor if actor.startswith("user:") else "command",
            told=told or (lambda stage, done, total: None),
        )
    except InferenceError:
        detail = {"change": "imported", "licence": licence}
        audit.record(action="model.changed", outcome="failed", target=("model", name), detail=detail)
        raise
    facts = {"digest": manifest.digest, "size": manifest.size, "licence": licence}
    audit.record(action="model.changed", target=("model", manifest.name), detail={"change": "imported", **facts})
    return manifest
