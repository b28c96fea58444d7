"""What the models page shows: installed models, what lies in the drop folder, work that goes on.

Knows: settings, manifests, the rows of work. Loads no model. Does not know: HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from assistant import engines
from assistant.models import ActivationState, JobKind, JobState, ModelJob
from assistant.quality import gate
from assistant.registry import activation, benchmarking, quantizing
from inference.store import Adapter, Gate

from .wording import duration, size_words

_ACTIVE = ActivationState.ACTIVE.value
JOBS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ModelRow:
    name: str
    purpose: str
    detail: str
    state: str  # of assistant.models.ActivationState, or "installed"
    size: int = 0
    licence: str = ""
    imported_at: datetime | None = None
    digest: str = ""
    evaluations: tuple[gate.Evaluation, ...] = ()
    quantizable: bool = False
    gguf: bool = False
    made_of: str = ""  # base and adapter, where it is both together


@dataclass(frozen=True, slots=True)
class JobRow:
    number: int
    title: str  # the kind of work
    target: str
    state: str  # of assistant.models.JobState
    tone: str
    told: str  # the state in words
    at: datetime
    words: str  # what goes on, what was lost, or why it failed
    progress: int = 0  # per cent of the whole


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """So many at once: what the first word took, and what all answers together made; as words."""

    users: int
    first: str
    rate: str
    energy: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest benchmark of an installed model: `facts` are (name, value)."""

    name: str
    at: datetime | None
    machine: str
    facts: list[tuple[str, str]]
    rows: list[SpeedRow]


def active_models() -> list[ModelRow]:
    """What answers and what understands meaning, as it was chosen."""
    meaning = ModelRow(
        name="all-MiniLM-L6-v2",
        purpose=gettext("Finds passages by meaning"),
        detail=gettext("Part of the installation; its checksum is checked before it is loaded."),
        state=_ACTIVE,
        licence="Apache-2.0",
    )
    return [_writer(), meaning]


def _writer() -> ModelRow:
    choice = activation.current()
    name = activation.active_name()
    if not name and not (choice is None and settings.ENGINE == "remote"):
        return ModelRow(
            name=gettext("Quotations (no language model)"),
            purpose=gettext("Writes the answers"),
            detail=gettext("Quotes the sentences that answer, word for word. Needs no graphics card."),
            state=_ACTIVE,
        )
    values = {
        "engine": choice.engine if choice else settings.ENGINE,
        "recipe": (choice.quantization if choice else settings.QUANTIZATION) or "–",
    }
    return ModelRow(
        name=name or settings.REMOTE_MODEL,
        purpose=gettext("Writes the answers"),
        detail=choice.problem if choice and choice.problem else gettext("%(engine)s, quantized as %(recipe)s") % values,
        state=choice.state if choice else _ACTIVE,
    )


def recipes() -> list[tuple[str, str]]:
    """The recipes with what to expect of each, beside bfloat16."""
    words = {
        "nf4": gettext("nf4: four bits, about a third of the size; for graphics cards and little memory"),
        "int8": gettext("int8: eight bits, about half the size; loses least"),
        "dynamic8": gettext("dynamic8: eight bits, about half the size; the fastest on processors"),
    }
    return [(recipe, words[recipe]) for recipe in quantizing.RECIPES]


def jobs() -> list[JobRow]:
    """The newest work that was asked for, with what came of it."""
    return [
        JobRow(
            number=job.pk,
            title=_title(job),
            target=job.target,
            state=job.state,
            tone=_TONES.get(job.state, "bad"),
            told=_told_state(job),
            at=job.at,
            words=_job_words(job),
            progress=_share(job),
        )
        for job in ModelJob.objects.all()[:JOBS_SHOWN]
    ]


_TONES = {"queued": "busy", "running": "busy", "done": "good", "cancelled": "idle"}
# What a kind of work goes through, one after the other, each with its share of the bar.
_STAGES = {
    JobKind.QUANTIZE: ("writing", "measuring"),
    JobKind.IMPORT: ("copying", "checking"),
    JobKind.BENCHMARK: ("loading", "comparing", "timing"),
}


_ADAPTER_STAGES = ("verifying", "loading", "joining", "checking")


def _share(job: ModelJob) -> int:
    stages = _ADAPTER_STAGES if job.options.get("base") else _STAGES.get(JobKind(job.kind), (job.stage,))
    before = stages.index(job.stage) if job.stage in stages else 0
    return round((100 * before + job.progress) / len(stages))


def _title(job: ModelJob) -> str:
    if base := job.options.get("base"):
        return gettext("import of an adapter for %(name)s") % {"name": base}
    return {
        JobKind.QUANTIZE: gettext("smaller copy"),
        JobKind.IMPORT: gettext("import"),
        JobKind.EVALUATE: gettext("evaluation"),
        JobKind.BENCHMARK: gettext("benchmark"),
    }[JobKind(job.kind)]


def _told_state(job: ModelJob) -> str:
    running = {
        JobKind.QUANTIZE: gettext("being made"),
        JobKind.IMPORT: gettext("being imported"),
        JobKind.EVALUATE: gettext("being evaluated"),
        JobKind.BENCHMARK: gettext("being measured"),
    }
    return {
        JobState.QUEUED: gettext("waiting"),
        JobState.RUNNING: running[JobKind(job.kind)],
        JobState.DONE: {JobKind.EVALUATE: gettext("evaluated"), JobKind.BENCHMARK: gettext("measured")}.get(
            JobKind(job.kind), gettext("installed")
        ),
        JobState.REFUSED: gettext("refused: it loses too much"),
        JobState.FAILED: gettext("failed"),
        JobState.CANCELLED: gettext("stopped"),
    }[JobState(job.state)]


def _job_words(job: ModelJob) -> str:
    if job.state == JobState.QUEUED:
        return gettext("A worker takes it up as soon as it is free.")
    if job.state == JobState.RUNNING:
        return {
            "writing": gettext("It is written layer by layer."),
            "measuring": gettext("It is measured beside the original, on the same text."),
            "copying": gettext("Its files are copied and looked through."),
            "verifying": gettext("Every file is read again and held against its checksum."),
            "joining": gettext("The adapter is put on top of the model."),
            "loading": gettext("It is loaded beside what answers."),
            "asking": gettext("It is asked the questions of the golden set, one after the other."),
            "checking": gettext("The checksum of every file is taken."),
            "comparing": gettext("It is held against the original, on the same text."),
            "timing": gettext("It answers one person and several at once, while the clock runs."),
        }.get(job.stage, gettext("It has begun."))
    if job.state == JobState.DONE:
        return {
            JobKind.QUANTIZE: gettext("It passed its measurement and can be let answer."),
            JobKind.IMPORT: gettext("Every file is on record. What lies in the drop folder is not needed any more."),
            JobKind.EVALUATE: gettext(
                "Its figures stand beside the model. If it answered most questions itself, it may answer."
            ),
            JobKind.BENCHMARK: gettext("Its figures stand under “Speed on this machine”."),
        }[JobKind(job.kind)]
    return gettext(job.problem) if job.problem else ""


def _gate_words(measured: Gate | None) -> str:
    """What quantizing lost, in one sentence; empty for a model that was not quantized here."""
    if measured is None:
        return ""
    words = gettext(
        "perplexity %(before)s to %(after)s (at most %(most)s worse), the same next word in %(same)s of the cases"
    ) % {
        "before": f"{measured.perplexity_before:.2f}",
        "after": f"{measured.perplexity_after:.2f}",
        "most": f"{measured.max_loss:.0%}",
        "same": f"{measured.agreement:.1%}",
    }
    return (
        gettext("%(words)s; past the limits, let through by a person") % {"words": words} if measured.forced else words
    )


def _made_of(adapter: Adapter | None) -> str:
    """Base and adapter in one sentence; empty for a model that was made without one."""
    if adapter is None:
        return ""
    words = gettext("%(base)s (%(licence)s) with the LoRA adapter %(name)s (%(size)s, SHA-256 %(digest)s…)")
    return words % {
        "base": adapter.base,
        "licence": adapter.base_licence,
        "name": adapter.name,
        "size": size_words(adapter.size),
        "digest": adapter.sha256[:12],
    }


def installed_models() -> list[ModelRow]:
    """The language models on this machine, from their manifests."""
    chosen = activation.active_name()
    return [
        ModelRow(
            name=manifest.name,
            purpose=" ".join(filter(None, (manifest.architecture, manifest.recipe))),
            detail=_gate_words(manifest.gate),
            state=_ACTIVE if manifest.name == chosen else "installed",
            size=manifest.size,
            licence=manifest.licence,
            imported_at=parse_datetime(manifest.imported_at),
            digest=manifest.digest,
            evaluations=gate.evaluations(manifest.digest),
            quantizable=manifest.kind == "safetensors" and not manifest.recipe,
            gguf=manifest.kind == "gguf",
            made_of=_made_of(manifest.adapter),
        )
        for manifest in engines.store().manifests()
    ]


def speeds() -> list[Measured]:
    """What was measured of the installed models, by name: the figures of `manage.py models benchmark`."""
    newest = benchmarking.newest()
    return [
        _measured(manifest.name, newest[manifest.digest])
        for manifest in engines.store().manifests()
        if manifest.digest in newest
    ]


def _measured(name: str, job: ModelJob) -> Measured:
    figures, machine = job.result["figures"], job.result["machine"]
    cards = ", ".join(machine.get("gpus", []))
    values = {"processor": machine["processor"], "cores": machine["cores"], "memory": machine["memory_gib"]}
    words = gettext("%(processor)s, %(cores)s cores, %(memory)s GiB") % values
    facts = [
        (gettext("Kept as"), figures["quantization"]),
        (gettext("Loaded in"), duration(1000 * figures["load_s"])),
        (gettext("Memory"), size_words(figures["bytes"])),
        (gettext("Memory while it was loaded, at most"), size_words(figures["peak_bytes"])),
        (gettext("On the disk"), size_words(figures["disk_bytes"])),
        (gettext("Tokens of an answer, at most"), str(job.options["tokens"])),
    ]
    if "agreement" in figures:
        near = f"{figures['perplexity_before']:.2f} → {figures['perplexity_after']:.2f}"
        facts += [
            (gettext("Perplexity"), near),
            (gettext("The same next word as the original"), f"{figures['agreement']:.1%}"),
        ]
    rows = [_speed(figures[f"users_{users}"]) for users in job.options["users"]]
    return Measured(name, job.finished_at, f"{words}; {cards}" if cards else words, facts, rows)


def _speed(found: dict[str, Any]) -> SpeedRow:
    joules = found["joules_per_token"]
    return SpeedRow(
        users=found["users"],
        first=gettext("%(number)s ms") % {"number": f"{found['first_token_ms']:.0f}"},
        rate=f"{found['tokens_per_second']:.1f}",
        energy="–" if joules is None else f"{joules:.2f} J",
    )
