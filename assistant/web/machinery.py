"""What the models and health pages show: facts of other rooms gathered into rows. Loads no model.

Knows: settings, manifests of installed models, health parts, counts of waiting work. Does not know: HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Min, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from assistant import activation, engines
from assistant import health as report
from assistant.audit.models import AuditCheckpoint
from assistant.chat.models import Answer, AnswerStatus
from assistant.documents.models import DocumentVersion, Status

from . import wording


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
    active: bool
    size: int = 0
    licence: str = ""
    imported_at: datetime | None = None
    digest: str = ""


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
        Fact(gettext("Loading from the network"), gettext("switched off in every process")),
    ]


def active_models() -> list[ModelRow]:
    """What answers and what understands meaning, as the settings choose it."""
    chosen = activation.current()
    language = activation.active_name()
    engine = chosen.engine if chosen else settings.ENGINE
    recipe = chosen.quantization if chosen else settings.QUANTIZATION
    writer = ModelRow(
        name=language or gettext("Quotations (no language model)"),
        purpose=gettext("Writes the answers"),
        detail=chosen.problem
        if chosen and chosen.problem
        else gettext("%(engine)s, quantized as %(recipe)s") % {"engine": engine, "recipe": recipe}
        if language
        else gettext("Quotes the sentences that answer, word for word. Needs no graphics card."),
        active=True,
    )
    meaning = ModelRow(
        name="all-MiniLM-L6-v2",
        purpose=gettext("Finds passages by meaning"),
        detail=gettext("Part of the installation; its checksum is checked before it is loaded."),
        active=True,
        licence="Apache-2.0",
    )
    return [writer, meaning]


def installed_models() -> list[ModelRow]:
    """The language models on this machine, from their manifests."""
    return [
        ModelRow(
            name=manifest.name,
            purpose=manifest.architecture,
            detail=manifest.source,
            active=manifest.name == activation.active_name(),
            size=manifest.size,
            licence=manifest.licence,
            imported_at=parse_datetime(manifest.imported_at),
            digest=manifest.digest,
        )
        for manifest in engines.store().manifests()
    ]


def _waiting(rows: QuerySet[Any]) -> str:
    """ "none", "3, the oldest for 2 minutes"."""
    count, oldest = rows.count(), rows.aggregate(at=Min("created_at"))["at"]
    if not count or oldest is None:
        return gettext("none")
    age = wording.age((timezone.now() - oldest).total_seconds())
    return gettext("%(count)s, the oldest for %(age)s") % {"count": count, "age": age}
