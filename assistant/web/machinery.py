"""What the health page shows: facts of other rooms gathered into rows.

Knows: health parts, proofs, counts of waiting work. Does not know: HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Min, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from assistant import egress
from assistant import health as report
from assistant.audit.models import AuditCheckpoint
from assistant.chat.models import Answer, AnswerStatus
from assistant.documents import proof
from assistant.documents.models import DocumentVersion, Status

from . import proof_words, wording


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
