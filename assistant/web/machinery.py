"""What the models and health pages show: facts of other rooms gathered into rows. Loads no model.

Knows: settings, manifests of installed models, health parts, counts of waiting work. Does not know: HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Min, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, ngettext

from assistant import activation, egress, engines, quantizing
from assistant import health as report
from assistant.accounts.models import User
from assistant.audit.models import AuditCheckpoint
from assistant.chat.models import Answer, AnswerStatus
from assistant.documents import proof
from assistant.documents.models import DocumentVersion, Status
from assistant.errors import Conflict, NotFound
from assistant.models import ActivationState, JobState, ModelJob
from assistant.quality import gate
from inference.errors import InferenceError, ModelNotFound
from inference.store import Gate

from . import proof_words, wording

_ACTIVE = ActivationState.ACTIVE.value
JOBS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class PartRow:
    name: str
    tone: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    words: str


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
    target: str
    state: str  # of assistant.models.JobState
    at: datetime
    words: str  # what was lost, or why there is no copy
    progress: int = 0


def parts(found: Iterable[report.Part]) -> list[PartRow]:
    """Health parts in words."""
    return [
        PartRow(
            name=wording.part_name(part.name),
            tone="good" if part.ok else "bad",
            state=gettext("works") if part.ok else gettext("does not work"),
            words=wording.part_words(part.name, part.facts, ok=part.ok),
        )
        for part in found
    ]


def proofs() -> list[PartRow]:
    """What shows that nothing leaves and nothing readable lies around, in words."""
    return [
        PartRow(
            name=proof_words.name_of(each.name),
            tone="good" if each.ok else "bad",
            state=gettext("shown") if each.ok else gettext("look"),
            words=proof_words.words_of(each.name, each.facts, ok=each.ok),
        )
        for each in proof.proofs()
    ]


def facts(found: Iterable[report.Part]) -> list[Fact]:
    """Waiting work, the search index's delay, the last signed statement of the audit log, the network."""
    workers = [worker for part in found if part.name == "answers" for worker in part.facts.get("workers", ())]
    lags = [worker["lag"] for worker in workers if "lag" in worker]
    checkpoint = AuditCheckpoint.objects.order_by("-seq").first()
    return [
        Fact(gettext("Questions waiting"), _waiting(Answer.objects.filter(status=AnswerStatus.QUEUED))),
        Fact(gettext("Documents waiting"), _waiting(DocumentVersion.objects.filter(status=Status.QUEUED))),
        Fact(gettext("Changes not yet in the search index"), str(max(lags)) if lags else gettext("unknown")),
        Fact(
            gettext("Last signed statement of the audit log"),
            gettext("%(when)s, at event %(seq)s")
            % {"when": wording.moment(checkpoint.at)["words"], "seq": checkpoint.seq}
            if checkpoint
            else gettext("none yet"),
        ),
        Fact(gettext("Connections to the outside"), _outside()),
    ]


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
    """The newest copies that were asked for, with what came of them."""
    return [
        JobRow(
            number=job.pk,
            target=job.target,
            state=job.state,
            at=job.at,
            words=_job_words(job),
            # Writing is the first half of the bar, measuring the second.
            progress=job.progress // 2 + (50 if job.stage == "measuring" else 0),
        )
        for job in ModelJob.objects.all()[:JOBS_SHOWN]
    ]


def _job_words(job: ModelJob) -> str:
    if job.state == JobState.QUEUED:
        return gettext("A worker takes it up as soon as it is free.")
    if job.state == JobState.RUNNING:
        if job.stage == "measuring":
            return gettext("It is measured beside the original, on the same text.")
        return gettext("It is written layer by layer.")
    if job.state == JobState.DONE:
        return gettext("It passed its measurement and can be let answer.")
    return gettext(job.problem)


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
        raise Conflict(f"{error} {error.hint}".strip(), code="model_refused") from error


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


def _outside() -> str:
    """What the guard of this process allows and has refused."""
    if not egress.in_force():
        return gettext("not guarded in this process")
    refused = len(egress.refused())
    if refused:
        words = ngettext("%(count)d was tried here and refused", "%(count)d were tried here and refused", refused)
        return words % {"count": refused}
    hosts = egress.allowed_hosts()
    if hosts:
        return gettext("refused, except to %(hosts)s") % {"hosts": wording.listed(hosts)}
    return gettext("refused; none was tried")


def _waiting(rows: QuerySet[Any]) -> str:
    """ "none", "3, the oldest for 2 minutes"."""
    count, oldest = rows.count(), rows.aggregate(at=Min("created_at"))["at"]
    if not count or oldest is None:
        return gettext("none")
    age = wording.age((timezone.now() - oldest).total_seconds())
    return gettext("%(count)s, the oldest for %(age)s") % {"count": count, "age": age}
