"""One golden question, asked in the rights of the person it names and judged; the words are dropped here.

Runs the stages of an answer without a row of its own: nothing shows up in anybody's conversations or counts against
their day. Knows how a question is asked; does not know runs. Workers and commands only: it loads what answers need.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.conf import settings

from assistant.chat import answering
from assistant.chat.closing import Result
from assistant.chat.evaluation import People, Places, Row, cites, holds
from assistant.chat.models import Answer, Outcome
from assistant.chat.replay import Unheard
from assistant.guardrails import sanitize
from inference.evaluation import answers
from retrieval.evaluation import ndcg_at_k, recall_at_k

from .marks import Mark

DEPTH = 10
Turns = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Asker:
    """Asks the rows of one set with the given tools. Raises Invalid for a person who is not here."""

    rows: Sequence[Row]
    tools: answering.Tools
    people: People = field(default_factory=People)
    places: Places = field(default_factory=Places)
    _said: dict[tuple[str, str], Turns] = field(default_factory=dict)

    def mark(self, row: Row) -> Mark:
        """Ask and judge; then ask once more as everybody who must not know."""
        began = time.monotonic()
        result = self._ask(row, row.asker)
        spent = round((time.monotonic() - began) * 1000)
        forbidden = self.places.named(row.places[0][0]) if row.places else set()  # the others may be anybody's
        leaks = sum(bool(forbidden & _touched(self._ask(row, email))) for email in row.denied)
        return judge(row, result, self.places.of(row), denied=len(row.denied), leaks=leaks, ms=spent)

    def _ask(self, row: Row, email: str) -> Result:
        person, turns = self.people[email], self._turns(row, email)
        text = sanitize.question(row.question, limit=settings.MAX_QUESTION_CHARS).text
        answer = Answer(id=uuid4(), owner=person, role=person.role, question=text, context=list(turns))
        result = answering.again(answer, tools=self.tools, live=Unheard(answer.pk), boundary="")
        self._said[email, row.id] = (*turns, ("user", text), ("assistant", result.text))
        return result

    def _turns(self, row: Row, email: str) -> Turns:
        """What was said before in the same conversation; asked now when a run goes on in another process."""
        if not row.follows:
            return ()
        if (email, row.follows) not in self._said:
            before = next((other for other in self.rows if other.id == row.follows), None)
            if before is None:
                return ()
            self._ask(before, email)
        return self._said[email, row.follows]


def judge(
    row: Row, result: Result, places: set[tuple[UUID, int | None]], *, denied: int = 0, leaks: int = 0, ms: int = 0
) -> Mark:
    """The numbers of one result; `places` are where the answer stands."""
    sentences = [sentence[0] for sentence in result.sentences]
    said = " ".join(sentences)
    document, page = cites(result.quotes, places)
    marks = answers.judge(said, row.answers) if row.answerable and row.answers else None
    ranked, gains = _ranking(result, places)
    return Mark(
        answerable=row.answerable,
        answered=result.outcome == Outcome.ANSWERED,
        failed=result.outcome in {Outcome.FAILED, Outcome.REFUSED},
        sure=float(result.detail.get("answerable", 0.0)),
        ndcg=round(ndcg_at_k({"q": ranked}, {"q": gains}, DEPTH), 4) if gains else None,
        recall=round(recall_at_k({"q": ranked}, {"q": gains}, DEPTH), 4) if gains else None,
        document=document,
        page=page,
        first=holds(sentences[:1], row.answers),
        second=holds(sentences[:2], row.answers),
        exact=marks.exact if marks else None,
        f1=round(marks.f1, 4) if marks else None,
        rouge_l=round(marks.rouge_l, 4) if marks else None,
        bleu=round(answers.bleu(said, row.answers), 4) if marks else None,
        grounded=round(answers.groundedness(said, [quote.text for quote in result.quotes]), 4) if said else None,
        fallback="fallback" in result.detail,
        asked_denied=denied,
        leaks=leaks,
        ms=ms,
    )


def _ranking(result: Result, places: set[tuple[UUID, int | None]]) -> tuple[list[str], dict[str, float]]:
    """(places in the order they were found, what is relevant), named for the measures: pages, or whole documents where
    the question names no page."""
    whole = {pk for pk, page in places if page is None}
    ranked = [
        item["document"] if UUID(item["document"]) in whole else f"{item['document']}#{item['page']}"
        for item in result.detail.get("retrieved", ())
    ]
    gains = {str(pk) if pk in whole else f"{pk}#{page}": 1.0 for pk, page in places}
    return list(dict.fromkeys(ranked)), gains


def _touched(result: Result) -> set[UUID]:
    """Every document that was cited to the person or retrieved for them."""
    touched = {quote.document for quote in result.quotes}
    return touched | {UUID(item["document"]) for item in result.detail.get("retrieved", ())}
