"""Three example questions from what a person can read. Knows titles and collections; asks nobody anything."""

from __future__ import annotations

from django.utils.translation import get_language, gettext

from assistant.accounts.models import User
from assistant.demo.company import suggested_questions
from assistant.documents import personal, policy

COUNT = 3


def questions(person: User) -> list[str]:
    """Prepared ones for the demo company's collections; else "What does … say about …?" from titles.

    Prepared questions are offered only when the collection still holds a document that the person can read.
    """
    readable = policy.readable_documents(person).filter(current__isnull=False)
    slugs = list(readable.order_by("collection__slug").values_list("collection__slug", flat=True).distinct())
    chinese = (get_language() or "").startswith("zh")
    prepared = [[item for item in suggested_questions(slug) if _is_chinese(item) == chinese] for slug in slugs]
    mixed = [items[round_] for round_ in range(COUNT) for items in prepared if len(items) > round_]
    if len(mixed) >= COUNT:
        return mixed[:COUNT]
    rows = list(readable.order_by("-updated_at")[: COUNT - len(mixed)])
    personal.veil(person, rows)
    return mixed + [gettext("What are the main points of “%(title)s”?") % {"title": row.title} for row in rows]


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)
