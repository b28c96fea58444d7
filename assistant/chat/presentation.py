"""The only way an answer's text leaves: `present` (people's interfaces call it through `services`, which records).

Knows: answers, their citations, and what the reader may read at this moment. An answer is shown whole or withheld
whole: as soon as one of the documents it rests on is deleted or no longer readable by the reader, its text, its
thinking, its quotations and its sources stay back. Personal data in it is shown by the rule of this moment, the
strictest of the collections it rests on. Does not know HTTP, HTML or how an answer came to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, override

from assistant.accounts.models import User
from assistant.documents import personal, policy
from assistant.documents.models import Chunk, Document, Page

from . import examples, introducing, languages, spelling
from .models import Answer, AnswerStatus, Citation, Outcome

PARAGRAPH_CHARS = 700


@dataclass(frozen=True, slots=True)
class CitationView:
    """A quotation under a marker. `char_start` and `char_end` count characters of the page's text, end exclusive;
    `paragraph` is the quotation with the words around it; `newer` says that the document has a newer version,
    `expired` until when it was valid, if that day is over, and `suspicious` that the passage reads like an attempt to
    instruct the assistant."""

    marker: int
    document: UUID
    title: str
    collection: str
    page: int
    quote: str
    char_start: int
    char_end: int
    version: int
    version_date: datetime
    verified: bool
    paragraph: str
    newer: bool
    expired: date | None
    suspicious: bool
    whole: bool = True  # original and picture are offered; not where personal data is hidden


@dataclass(frozen=True, slots=True)
class SentenceView:
    """A sentence without its markers. `breaks` is how many line breaks stand before it (2: a new paragraph)."""

    text: str
    markers: tuple[int, ...]
    verified: bool
    breaks: int


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What the owner of an answer may see of it now. `queue_position` is 1 for the next in line, None once begun.

    `reason` is a code: why there is no text (`deleted`, `access_changed`, `personal_data`, or the answer's own reason).
    `evidence` is {"collections": [{"slug", "name"}], "passages": int}: where was searched, how much was read.
    """

    id: UUID
    conversation: UUID
    question: str
    status: str
    outcome: str
    text: str
    thinking: str
    citations: tuple[CitationView, ...]
    sentences: tuple[SentenceView, ...]
    engine: str
    model: str
    timings: dict[str, int]
    evidence: dict[str, Any]
    queue_position: int | None
    withheld: bool
    reason: str
    created_at: datetime
    finished_at: datetime | None
    feedback: bool | None = field(default=None)
    examples: tuple[str, ...] = ()  # questions to go on with, under an answer that introduces the assistant
    also: tuple[str, ...] = ()  # words of the documents that were searched for in place of the question's own
    unsupported: int = 0  # sentences of the model that no passage supports and that are not shown
    fallback: bool = False  # a language model should have answered and could not; these are quotations

    @property
    def introduces(self) -> bool:
        """Whether it is a fixed text about the assistant, from no document."""
        return self.reason == introducing.REASON

    @property
    def outdated(self) -> bool:
        """Whether a document that is quoted is no longer valid or has a newer version: the answer speaks of then."""
        return any(citation.newer or citation.expired for citation in self.citations)

    @property
    def suspicious(self) -> bool:
        """Whether a passage that is quoted reads like an attempt to instruct the assistant."""
        return any(citation.suspicious for citation in self.citations)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ids and times are still UUID and datetime (Django's encoder knows both)."""
        return asdict(self)


def present(*, actor: User, answer: Answer) -> AnswerView:
    """The answer as its owner may see it now. The caller has it from `services.get_answer`."""
    return present_all(actor=actor, answers=[answer])[0]


def present_all(*, actor: User, answers: Iterable[Answer]) -> list[AnswerView]:
    """`present` for many answers of one person, in a handful of queries."""
    rows = list(answers)
    if any(row.owner_id != actor.pk for row in rows):
        raise ValueError("an answer is presented to its owner only")
    rests_on = _rests_on(rows)
    known = set().union(*rests_on.values()) if rests_on else set()
    readable = set(policy.readable_documents(actor).filter(pk__in=known).values_list("pk", flat=True))
    reasons = {row.pk: _withheld(row, rests_on[row.pk], readable) for row in rows}
    citations = _citations([row for row in rows if not reasons[row.pk]])
    names = dict(policy.visible_collections(actor).values_list("slug", "name"))
    also = spelling.told(actor, [row for row in rows if not reasons[row.pk]])
    views = [
        replace(_view(row, reasons[row.pk], citations.get(row.pk, ()), names), also=also.get(row.pk, ()))
        for row in rows
    ]
    return [_introduced(actor, view) for view in _by_policy(actor, views, rests_on)]


def _introduced(actor: User, view: AnswerView) -> AnswerView:
    """The view with what its reader can ask about now, where it introduces the assistant."""
    if not (view.introduces and view.text):
        return view
    named = view.evidence["collections"]
    with override(languages.of(view.question)):
        found = tuple(examples.questions(actor, [item["slug"] for item in named])) if named else ()
    more = introducing.more(view.question, [item["name"] for item in named], found)
    return replace(
        view,
        text=view.text + "".join("\n" * breaks + words for words, breaks in more),
        sentences=(*view.sentences, *(SentenceView(words, (), False, breaks) for words, breaks in more)),
        examples=found,
    )


def sentence_for(view: AnswerView) -> str:
    """One sentence in place of a text that is not there, in the language of the question. "" when there is a text."""
    if view.outcome != Outcome.NOT_FOUND:
        return ""
    with override(languages.of(view.question)):
        return gettext("The documents you can read do not say.")


def fallback_sentence(view: AnswerView) -> str:
    """What to say under quotations that stand in for a language model, in the language of the question; or ""."""
    if not view.fallback or view.outcome != Outcome.ANSWERED:
        return ""
    with override(languages.of(view.question)):
        return gettext("The language model could not answer. These are quotations from the documents.")


def queue_position(answer: Answer) -> int | None:
    """1 for the next in line; None when the answer is not waiting."""
    if answer.status != AnswerStatus.QUEUED:
        return None
    earlier = Q(created_at__lt=answer.created_at) | Q(created_at=answer.created_at, pk__lt=answer.pk)
    return Answer.objects.filter(earlier, status=AnswerStatus.QUEUED).count() + 1


def _rests_on(answers: Sequence[Answer]) -> dict[UUID, set[UUID]]:
    found: dict[UUID, set[UUID]] = {row.pk: set() for row in answers}
    links = Answer.rests_on.through._default_manager.filter(answer__in=list(found))
    for answer_id, document_id in links.values_list("answer_id", "document_id"):
        found[answer_id].add(document_id)
    return found


def _withheld(answer: Answer, rests_on: set[UUID], readable: set[UUID]) -> str:
    """Why the text stays back, or "". Fewer documents than the answer was written from: one of them is gone."""
    if answer.withheld_at or len(rests_on) < answer.evidence.get("rests_on", 0):
        return "deleted"
    if not rests_on <= readable:
        return "access_changed"
    return ""


def _by_policy(actor: User, views: list[AnswerView], rests_on: dict[UUID, set[UUID]]) -> list[AnswerView]:
    """The views with personal data as the person may see it now."""
    rules = personal.rules(actor)
    if not rules.by_collection:
        return views
    known = set().union(*(rests_on[view.id] for view in views))
    collections = dict(Document.objects.filter(pk__in=known).values_list("pk", "collection"))
    ruled = ((view, rules.together(collections[document] for document in rests_on[view.id])) for view in views)
    return [view if rule.shows or not view.text else _hidden(view, rule) for view, rule in ruled]


def _hidden(view: AnswerView, rule: personal.Rule) -> AnswerView:
    """The view under a rule that hides. Values of its sources count as such, whatever words are left around them."""
    if rule.treatment == personal.Treatment.REFUSE and personal.holds(" ".join(_words(view)), rule):
        return replace(view, text="", thinking="", citations=(), sentences=(), withheld=True, reason="personal_data")
    values = personal.known_values((item.paragraph for item in view.citations), rule)

    def hide(text: str) -> str:
        return personal.screened(text, rule, values)

    return replace(
        view,
        text=hide(view.text),
        thinking=hide(view.thinking),
        sentences=tuple(replace(sentence, text=hide(sentence.text)) for sentence in view.sentences),
        citations=tuple(
            replace(item, title=hide(item.title), quote=hide(item.quote), paragraph=hide(item.paragraph), whole=False)
            for item in view.citations
        ),
    )


def _words(view: AnswerView) -> list[str]:
    quoted = [text for item in view.citations for text in (item.title, item.quote)]
    return [view.text, view.thinking, *quoted]


def _citations(answers: Sequence[Answer]) -> dict[UUID, tuple[CitationView, ...]]:
    rows = list(
        Citation.objects.filter(answer__in=[row.pk for row in answers])
        .select_related("version", "document__collection")
        .order_by("answer", "marker", "ordinal")
    )
    wanted = {(row.version_id, row.page) for row in rows}
    pages = {
        (page.version_id, page.number): page.text
        for page in Page.objects.filter(
            version__in={version for version, _ in wanted}, number__in={number for _, number in wanted}
        )
        if (page.version_id, page.number) in wanted
    }
    chunks = Chunk.objects.filter(pk__in=[row.chunk_id for row in rows if row.chunk_id])
    suspicious = set(policy.suspicious(chunks).values_list("pk", flat=True))
    today = timezone.localdate()
    found: dict[UUID, list[CitationView]] = {}
    for row in rows:
        text = pages.get((row.version_id, row.page), "")
        found.setdefault(row.answer_id, []).append(
            CitationView(
                marker=row.marker,
                document=row.document_id,
                title=row.title,
                collection=row.document.collection.slug,
                page=row.page,
                quote=row.quote,
                char_start=row.char_start,
                char_end=row.char_end,
                version=row.version.number,
                version_date=row.version.created_at,
                verified=row.verified,
                paragraph=_paragraph(text, row.char_start, row.char_end) or row.quote,
                newer=row.document.current_id not in (None, row.version_id),
                expired=until if (until := row.document.valid_until) and until < today else None,
                suspicious=row.chunk_id in suspicious,
            )
        )
    return {answer: tuple(views) for answer, views in found.items()}


def _paragraph(text: str, start: int, end: int) -> str:
    """The quotation with the words around it, up to the blank lines, at most about PARAGRAPH_CHARS characters."""
    room = max(0, PARAGRAPH_CHARS - (end - start)) // 2
    left = max(text.rfind("\n\n", 0, start) + 2 if "\n\n" in text[:start] else 0, start - room)
    stop = text.find("\n\n", end)
    right = min(stop if stop >= 0 else len(text), end + room)
    before, after = text[left:start], text[end:right]
    if left and text[left - 1].strip() and " " in before:  # cut in mid-word: begin with the next whole one
        before = "… " + before.split(" ", 1)[1]
    if right < len(text) and text[right].strip() and " " in after:
        after = after.rsplit(" ", 1)[0] + " …"
    return (before + text[start:end] + after).strip()


def _view(answer: Answer, withheld: str, citations: tuple[CitationView, ...], names: dict[str, str]) -> AnswerView:
    shown = answer.status == AnswerStatus.DONE and not withheld
    feedback = getattr(answer, "feedback", None)
    return AnswerView(
        id=answer.pk,
        conversation=answer.conversation_id,
        question=answer.question,
        status=answer.status,
        outcome=answer.outcome,
        text=answer.text if shown else "",
        thinking=answer.thinking if shown else "",
        citations=citations if shown else (),
        sentences=tuple(
            SentenceView(text, tuple(markers), verified, breaks)
            for text, markers, verified, breaks in (answer.sentences if shown else ())
        ),
        engine=answer.engine,
        model=answer.model,
        timings=answer.timings,
        evidence={
            "collections": [
                {"slug": slug, "name": names[slug]} for slug in answer.evidence.get("collections", ()) if slug in names
            ],
            "passages": answer.evidence.get("passages", 0),
        },
        queue_position=queue_position(answer),
        withheld=bool(withheld) and answer.outcome != Outcome.NOT_FOUND,
        reason=withheld or answer.reason,
        unsupported=answer.evidence.get("unsupported", 0) if shown else 0,
        fallback=shown and bool(answer.evidence.get("fallback")),
        created_at=answer.created_at,
        finished_at=answer.finished_at,
        feedback=feedback.good if feedback else None,
    )
