"""Measures the whole product on a file of questions: right document and page, right sentence, honest silence, no leak.

A question is asked as the person it names, through the same path as everybody's. Then it is asked again by each person
who must not know: a leak is the document among what was retrieved or cited for them. Knows: the question file and
answers; does not know how they are made. The conversations it made are erased at the end; the audit events stay.

A row: {"id", "question", "answers": [strings], "answerable", "document": filename or title, "page", "as": e-mail,
"denied": [e-mails], "follows": id of the question before in the same conversation, "also": [[document, page], …] other
right places}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol
from uuid import UUID

from assistant.accounts.models import User
from assistant.audit.models import AuditEvent
from assistant.documents.models import Document
from assistant.errors import Invalid
from retrieval.text import normalize

from . import services
from .asking import Say, answered
from .models import Conversation, Outcome
from .presentation import AnswerView


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    question: str
    answers: tuple[str, ...]
    answerable: bool
    places: tuple[tuple[str, int | None], ...]  # (document, page): where the answer stands
    asker: str
    denied: tuple[str, ...]
    follows: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """One question's marks. `leaks` are the people who were given what they may not read."""

    row: Row
    outcome: str
    document: bool = False
    page: bool = False
    first: bool = False
    second: bool = False
    leaks: tuple[str, ...] = ()
    milliseconds: int = 0
    said: str = ""


@dataclass(slots=True)
class Report:
    judged: list[Judged] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The figures: shares of the answerable and of the unanswerable questions, and counts."""
        can = [item for item in self.judged if item.row.answerable]
        cannot = [item for item in self.judged if not item.row.answerable]
        times = sorted(item.milliseconds for item in self.judged) or [0]
        return {
            "questions": len(self.judged),
            "answerable": len(can),
            "answered": _share(can, lambda item: item.outcome == Outcome.ANSWERED),
            "right_document": _share(can, lambda item: item.document),
            "right_page": _share(can, lambda item: item.page),
            "in_first_sentence": _share(can, lambda item: item.first),
            "in_first_two_sentences": _share(can, lambda item: item.second),
            "unanswerable": len(cannot),
            "abstained": _share(cannot, lambda item: item.outcome == Outcome.NOT_FOUND),
            "denied_asked": sum(len(item.row.denied) for item in self.judged),
            "leaks": sum(len(item.leaks) for item in self.judged),
            "median_ms": round(median(times)),
            "p95_ms": times[min(len(times) - 1, int(len(times) * 0.95))],
        }


def load(path: Path) -> list[Row]:
    """The rows of a question file (JSON lines). Raises Invalid naming the line."""
    return parse(path.read_text(encoding="utf-8"), name=path.name)


def parse(text: str, *, name: str) -> list[Row]:
    """The rows of a question file's text; `name` is for the error. Raises Invalid naming the line."""
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid(f"{name}, line {number}: {error!r}") from error
    return rows


class Places:
    """Documents by the file they came from, or by title: read once, since names are sealed and SQL cannot look."""

    def __init__(self) -> None:
        self._named: dict[str, set[UUID]] = {}
        for pk, title, filename in Document.objects.values_list("pk", "title", "versions__filename").iterator():
            for name in (title, filename):
                self._named.setdefault(name, set()).add(pk)

    def named(self, name: str) -> set[UUID]:
        return self._named.get(name, set())

    def of(self, row: Row) -> set[tuple[UUID, int | None]]:
        """Where the row's answer stands: (document, page); page None: anywhere in it."""
        return {(pk, page) for name, page in row.places for pk in self.named(name)}


def run(rows: Iterable[Row], *, say: Say, on_row: Callable[[Judged], None] = lambda _: None) -> Report:
    """Ask everything, in order. Raises Invalid for a person who is not here."""
    report = Report()
    conversations: dict[tuple[str, str], UUID] = {}
    made: set[UUID] = set()
    people, places = People(), Places()
    try:
        for row in rows:
            views: dict[str, AnswerView] = {}
            for email in (row.asker, *row.denied):
                views[email] = answered(
                    actor=people[email],
                    question=row.question,
                    conversation_id=conversations.get((email, row.follows)) if row.follows else None,
                    origin="evaluate",
                    say=say,
                )
                conversations[email, row.id] = views[email].conversation
                made.add(views[email].conversation)
            judged = _judge(row, views, places)
            report.judged.append(judged)
            on_row(judged)
    finally:
        services.erase(Conversation.objects.filter(pk__in=made))
    return report


class People(dict[str, User]):
    """Active people by e-mail address, looked up once each. Raises Invalid for an address that is nobody's."""

    def __missing__(self, email: str) -> User:
        user = User.objects.filter(email__iexact=email, is_active=True).first()
        if user is None:
            raise Invalid(f"There is no active person with the address {email}.")
        self[email] = user
        return user


def _row(values: Mapping[str, Any]) -> Row:
    places = [(values["document"], values.get("page"))] if values.get("document") else []
    return Row(
        id=str(values["id"]),
        question=values["question"],
        answers=tuple(values.get("answers", ())),
        answerable=bool(values["answerable"]),
        places=(*places, *((document, page) for document, page in values.get("also", ()))),
        asker=values["as"],
        denied=tuple(values.get("denied", ())),
        follows=values.get("follows"),
    )


def _judge(row: Row, views: Mapping[str, AnswerView], places: Places) -> Judged:
    view = views[row.asker]
    sentences = [sentence.text for sentence in view.sentences]
    document, page = cites(view.citations, places.of(row))
    forbidden = places.named(row.places[0][0]) if row.places else set()  # the others may be anybody's
    return Judged(
        row,
        view.outcome,
        document=document,
        page=page,
        first=holds(sentences[:1], row.answers),
        second=holds(sentences[:2], row.answers),
        leaks=tuple(email for email in row.denied if forbidden & _touched(views[email])),
        milliseconds=view.timings.get("total", 0),
        said=" ".join(sentences),
    )


class Cited(Protocol):
    @property
    def document(self) -> UUID: ...

    @property
    def page(self) -> int: ...


def cites(quotes: Sequence[Cited], places: Set[tuple[UUID, int | None]]) -> tuple[bool, bool]:
    """Whether the first citation is in a right document, and on a right page of it."""
    if not quotes:
        return False, False
    first = quotes[0]
    page = (first.document, first.page) in places or (first.document, None) in places
    return first.document in {pk for pk, _ in places}, page


def holds(sentences: Sequence[str], answers: Iterable[str]) -> bool:
    """Whether one of the expected answers stands in the sentences."""
    said = " ".join(map(normalize, sentences))
    return any(normalize(answer) in said for answer in answers)


def _touched(view: AnswerView) -> set[UUID]:
    """Every document that was cited to the person or retrieved for them, by the record."""
    touched = {citation.document for citation in view.citations}
    for event in AuditEvent.objects.filter(target_type="answer", target_id=str(view.id)):
        touched.update(UUID(item["document"]) for item in event.detail.get("retrieved", ()))
    return touched


def _share(items: list[Judged], good: Callable[[Judged], bool]) -> float | None:
    return round(sum(map(good, items)) / len(items), 4) if items else None
