"""Questions through the real index, the real scorer and the extractive engine."""

from __future__ import annotations

from assistant.chat import services
from assistant.chat.models import Outcome
from assistant.documents.models import Page

from .library import asked


def test_answer_quotes_the_right_sentence_with_its_exact_place(company, people):
    answer = asked(people.employee, "What is the meal allowance in Germany?")
    view = services.present(actor=people.employee, answer=answer)
    assert view.outcome == Outcome.ANSWERED
    assert view.sentences[0].text == "The meal allowance in Germany is 28 euros per day."
    assert view.sentences[0].verified
    first = view.citations[0]
    assert (first.marker, first.document, first.title, first.page) == (1, company.travel.pk, "Travel Policy", 1)
    page = Page.objects.get(version__document=company.travel, number=1)
    assert page.text[first.char_start : first.char_end] == first.quote
