"""What the models page shows and asks for: installed models, what lies in the drop folder, work that goes on.

Knows: settings, manifests, the rows of work. Loads no model. Does not know: HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from assistant import activation, engines, importing, quantizing
from assistant.accounts.models import User
from assistant.errors import Conflict, NotFound
from assistant.models import ActivationState, JobKind, JobState, ModelJob
from assistant.quality import evaluating, gate
from inference.errors import InferenceError, ModelNotFound, in_full
from inference.store import Gate

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


def activate(actor: User, name: str, reason: str) -> None:
    """Choose an installed model on its evaluation, or with a reason; its files are read and checked first.

    Raises NotFound, Conflict, Invalid."""
    with _told():
        gate.activate(actor=actor, name=name, quantization="auto", reason=reason)


def bring_in(entry: str, name: str, licence: str, revision: str) -> None:
    """Have what lies in the drop folder imported by a worker. Raises NotFound, Conflict, Invalid."""
    with _told():
        importing.begin(entry=entry, name=name, licence=licence, revision=revision)


def evaluate(actor: User, name: str) -> None:
    """Have the golden set asked of an installed model by a worker. Raises NotFound, Conflict."""
    with _told():
        evaluating.begin(actor=actor, name=name)


def quantize(name: str, recipe: str) -> None:
    """Have a quantized copy made by a worker, within the limits of the settings. Raises NotFound, Conflict, Invalid."""
    with _told():
        quantizing.begin(name=name, recipe=recipe, allowed=quantizing.limits())


def remove(name: str) -> None:
    """Take a model that does not answer off the disk. Raises NotFound, Conflict."""
    with _told():
        activation.remove(name)


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
_STAGES = {JobKind.QUANTIZE: ("writing", "measuring"), JobKind.IMPORT: ("copying", "checking")}


def _share(job: ModelJob) -> int:
    stages = _STAGES.get(JobKind(job.kind), (job.stage,))
    before = stages.index(job.stage) if job.stage in stages else 0
    return round((100 * before + job.progress) / len(stages))


def _title(job: ModelJob) -> str:
    return {
        JobKind.QUANTIZE: gettext("smaller copy"),
        JobKind.IMPORT: gettext("import"),
        JobKind.EVALUATE: gettext("evaluation"),
    }[JobKind(job.kind)]


def _told_state(job: ModelJob) -> str:
    running = {
        JobKind.QUANTIZE: gettext("being made"),
        JobKind.IMPORT: gettext("being imported"),
        JobKind.EVALUATE: gettext("being evaluated"),
    }
    return {
        JobState.QUEUED: gettext("waiting"),
        JobState.RUNNING: running[JobKind(job.kind)],
        JobState.DONE: gettext("evaluated") if job.kind == JobKind.EVALUATE else gettext("installed"),
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
            "loading": gettext("It is loaded beside what answers."),
            "asking": gettext("It is asked the questions of the golden set, one after the other."),
            "checking": gettext("The checksum of every file is taken."),
        }.get(job.stage, gettext("It has begun."))
    if job.state == JobState.DONE:
        return {
            JobKind.QUANTIZE: gettext("It passed its measurement and can be let answer."),
            JobKind.IMPORT: gettext("Every file is on record. What lies in the drop folder is not needed any more."),
            JobKind.EVALUATE: gettext(
                "Its figures stand beside the model. If it answered most questions itself, it may answer."
            ),
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


def verify(name: str) -> int:
    """Check every file of an installed model against its manifest; how many. Raises NotFound, Conflict."""
    with _told():
        return len(engines.store().verify(name).files)


@contextmanager
def _told() -> Iterator[None]:
    """The library's failures as the product's."""
    try:
        yield
    except ModelNotFound as error:
        raise NotFound from error
    except FileExistsError as error:
        raise Conflict("A model of that name is installed already. Remove it first.") from error
    except InferenceError as error:
        raise Conflict(in_full(error), code="model_refused") from error


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
        )
        for manifest in engines.store().manifests()
    ]
