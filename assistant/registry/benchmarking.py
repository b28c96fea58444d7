"""How fast an installed model is on this machine, what memory it takes, how near it stays to the unquantized one.

Knows the store, the audit log and the jobs that the models page starts; clocks and engines are `inference`'s. Only
workers and commands call `measure`; pages and REST call `begin`, and read what was measured with `newest`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assistant import engines
from assistant.audit import services as audit
from assistant.errors import Invalid
from assistant.models import JobKind, JobState, ModelJob
from assistant.registry import jobs, quantizing
from assistant.registry.jobs import Told
from inference.store import Manifest

if TYPE_CHECKING:
    from inference.engines.base import Engine
    from inference.quantization import Quantization
    from inference.runs.data import Item

MOST_USERS, MOST_TOKENS, MOST_NUMBERS = 128, 1024, 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """Each number of `users` asks at once, for answers of at most `tokens` tokens. `quantization` is of loading; auto:
    as the model is stored. `against`: of a GGUF model, the installed model it was made from. `text`: nearness is
    measured on it, else on pages of the demo company. `items`: questions whose answers are judged. Raises Invalid."""

    users: tuple[int, ...] = (1, 8)
    tokens: int = 64
    quantization: str = "auto"
    against: str = ""
    text: Path | None = None
    items: Sequence[Item] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.users) <= MOST_NUMBERS or not all(1 <= each <= MOST_USERS for each in self.users):
            words = "Name one to six numbers of people, each from 1 to 128."
            raise Invalid(words, fields={"users": [words]})
        if not 1 <= self.tokens <= MOST_TOKENS:
            words = "An answer has 1 to 1,024 tokens."
            raise Invalid(words, fields={"tokens": [words]})


def users_in(text: str) -> tuple[int, ...]:
    """The numbers of “1, 8, 32”. Raises Invalid."""
    parts = [part.strip() for part in text.replace("，", ",").split(",")]
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 5 else 0 for part in parts)


def measure(name: str, wanted: Wanted, *, told: Told = lambda stage, done, total: None) -> dict[str, Any]:
    """The figures, on record: `load_s`, bytes in memory, at most and on disk, nearness where there is an unquantized
    model to hold it against, and `users_N` for each number of users (`inference.benchmark.Speed`, joules per token).

    What `told` raises ends it. Raises InferenceError.
    """
    manifest = engines.store().verify(name)
    told("loading", 0, 1)
    engine, body = (_gguf if manifest.kind == "gguf" else _safetensors)(manifest, wanted, told)
    with closing(engine):
        _speed(engine, wanted, body, told)
        if wanted.items:
            from inference.evaluation import asked

            body["answers"] = asdict(asked.ask(engine, wanted.items))
    audit.record(
        action="model.measured",
        target=("model", name),
        detail={
            "digest": manifest.digest,
            "quantization": body["quantization"],
            "users": list(wanted.users),
            "tokens": wanted.tokens,
            "tokens_per_second": [round(body[f"users_{users}"]["tokens_per_second"], 1) for users in wanted.users],
        },
    )
    return body


def _safetensors(manifest: Manifest, wanted: Wanted, told: Told) -> tuple[Engine, dict[str, Any]]:
    from inference import loading, nearness
    from inference.engines.local import engine_for
    from inference.memory import Peak

    folder, recipe, device = engines.store().folder(manifest.name), wanted.quantization, loading.default_device()
    began = time.perf_counter()
    with Peak(device) as peak:
        quantize = cast("Quantization", "none" if recipe == "auto" else recipe)
        loaded = loading.load(folder, quantize=quantize)
    seconds = round(time.perf_counter() - began, 2)
    body: dict[str, Any] = {"name": manifest.name, "quantization": loaded.quantization, "device": loaded.device}
    body |= {"load_s": seconds, "bytes": loaded.bytes, "peak_bytes": peak.bytes, "disk_bytes": manifest.size}
    if loaded.quantization != "none" and (original := _original(manifest)):
        words = quantizing.words(wanted.text)[1]
        comparing = lambda done, total: told("comparing", done, total)  # noqa: E731
        body |= asdict(nearness.measure(original, loaded, words, told=comparing))
    return engine_for(loaded), body


def _original(manifest: Manifest) -> Path | None:
    """The unquantized model's folder, if it is installed."""
    store = engines.store()
    if not manifest.recipe:
        return store.folder(manifest.name)
    return next((store.folder(other.name) for other in store.manifests() if other.digest == manifest.parent), None)


def _gguf(manifest: Manifest, wanted: Wanted, told: Told) -> tuple[Engine, dict[str, Any]]:
    """As for other models; which unquantized one to hold it against must be said."""
    from inference import nearness
    from inference.engines.gguf import GgufEngine, inspect
    from inference.memory import Peak

    folder = engines.store().folder(manifest.name)
    body: dict[str, Any] = {"name": manifest.name, "quantization": inspect(folder)[0].quantization}
    if wanted.against:
        original, words = engines.store().folder(wanted.against), quantizing.words(wanted.text)[1]
        comparing = lambda done, total: told("comparing", done, total)  # noqa: E731
        body |= asdict(nearness.measure_gguf(original, folder, words, told=comparing))
    began = time.perf_counter()
    with Peak() as peak:
        engine = GgufEngine(folder, template_sha256=manifest.template_sha256)
    body["load_s"] = round(time.perf_counter() - began, 2)
    body |= {"bytes": engine.bytes, "peak_bytes": peak.bytes, "disk_bytes": manifest.size}
    return engine, body


def _speed(engine: Engine, wanted: Wanted, body: dict[str, Any], told: Told) -> None:
    from inference import benchmark
    from inference.energy import Energy

    total, before = sum(wanted.users), 0
    for users in wanted.users:
        requests = [benchmark.question(number, wanted.tokens) for number in range(users)]
        answered = lambda done, before=before: told("timing", before + done, total)  # noqa: E731
        with Energy(body.get("device", "cpu")) as energy:
            found = benchmark.speed(engine, requests, users=users, told=answered)
        each = None if energy.joules is None else energy.joules / max(1, found.tokens)
        body[f"users_{users}"] = {**asdict(found), "joules_per_token": each}
        body["energy"] = energy.source
        before += users
        told("timing", before, total)


def begin(*, name: str, users: Sequence[int] = (1, 8), tokens: int = 64, against: str = "") -> ModelJob:
    """A job for a worker: the model as it is stored. Raises Invalid, Conflict, inference.errors.ModelNotFound."""
    wanted = Wanted(tuple(users), tokens, against=against)
    if engines.store().manifest(name).kind != "gguf" and against:
        words = "Only a GGUF model has to be told what it was made from."
        raise Invalid(words, fields={"against": [words]})
    if against:
        engines.store().manifest(against)
    options = {"users": list(wanted.users), "tokens": tokens, "against": against}
    return jobs.start(JobKind.BENCHMARK, target=name, name=name, recipe="auto", options=options)


def work(job: ModelJob, told: Told) -> dict[str, Any]:
    """Do such a job: the figures, the digest they hold for, and the machine. Raises InferenceError, LeaseLost."""
    from inference.runs import card

    digest, options = engines.store().manifest(job.name).digest, job.options
    wanted = Wanted(tuple(options["users"]), options["tokens"], against=options["against"])
    figures = measure(job.name, wanted, told=told)
    return {"digest": digest, "machine": card.hardware(), "figures": figures}


def newest() -> dict[str, ModelJob]:
    """The newest finished benchmark of each model, by the digest of its manifest."""
    done = ModelJob.objects.filter(kind=JobKind.BENCHMARK, state=JobState.DONE).order_by("pk")
    return {job.result["digest"]: job for job in done}
