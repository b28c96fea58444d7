"""Example questions from what a person can read. Knows titles, headings and collections; searches nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.utils import timezone
from django.utils.translation import get_language, gettext

from assistant.accounts.models import User
from assistant.demo.company import DOMAIN, suggested_questions
from assistant.documents import personal, policy
from assistant.documents.models import Document
from assistant.guardrails import levels

from . import languages

COUNT = 3
_NUMBER = re.compile(
    r"^(?:[\dIVX]+(?:[.\-]\d+)*[.)、:]?\s+|[一二三四五六七八九十]+、\s*|第[一二三四五六七八九十\d]+[章节条]\s*)"
)
_LONGEST, _SHORTEST = 60, 3  # characters of a heading that can be asked about


def questions(person: User, slugs: Sequence[str] = ()) -> list[str]:
    """At most COUNT questions about the collections named (none named: all), in the reader's language.

    Prepared ones for the demo company's people, else "What does … say about …?" from titles and headings. Prepared
    questions are offered only when the collection still holds a document that the person can read.
    """
    readable = policy.readable_documents(person).filter(current__isnull=False)
    if slugs:
        readable = readable.filter(collection__slug__in=list(slugs))
    found = list(readable.order_by("collection__slug").values_list("collection__slug", flat=True).distinct())
    language = "zh-hans" if (get_language() or "").startswith("zh") else "en"
    theirs = found if person.email.endswith(f"@{DOMAIN}") else []  # "Handbook" is a name that others use too
    prepared = [[item for item in suggested_questions(slug) if languages.of(item) == language] for slug in theirs]
    mixed = [items[round_] for round_ in range(COUNT) for items in prepared if len(items) > round_]
    if len(mixed) >= COUNT:
        return mixed[:COUNT]
    rows = list(readable.order_by("-updated_at")[: COUNT - len(mixed)])
    personal.veil(person, rows)
    return mixed + [_about(person, row) for row in rows]


def _about(person: User, document: Document) -> str:
    """A question about the document's first section that has a name, else about the document."""
    heading = _heading(person, document)
    if heading:
        return gettext("What does “%(title)s” say about “%(heading)s”?") % {"title": document.title, "heading": heading}
    return gettext("What are the main points of “%(title)s”?") % {"title": document.title}


def _heading(person: User, document: Document) -> str:
    """The first heading below the title, as the person may see it; "" when there is none worth asking about."""
    usable = policy.answerable_chunks(person, timezone.localdate()).filter(
        document=document, suspicion__lt=levels.THRESHOLD_DOWNRANK
    )
    rule = personal.rules(person).of(document.collection_id)
    for headings in usable.order_by("ordinal").values_list("headings", flat=True)[:20]:
        for raw in headings[-1:]:
            words = _NUMBER.sub("", personal.label(raw, rule)).strip()
            if _SHORTEST <= len(words) <= _LONGEST and words.casefold() not in document.title.casefold():
                return words
    return ""
