"""Earlier turns of a conversation, as far as the person may still see them: for follow-ups and for prompts."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q

from assistant.accounts.models import User
from inference.engines.base import Message

from . import followups, introducing
from .models import Answer, AnswerStatus, Outcome
from .presentation import present_all

TURNS = 3


def earlier(answer: Answer) -> list[Answer]:
    """The finished answers before this one in its conversation, from old to new. A greeting leads nowhere."""
    rows = Answer.objects.filter(
        conversation=answer.conversation_id, created_at__lt=answer.created_at, status=AnswerStatus.DONE
    ).exclude(Q(outcome__in=[Outcome.FAILED, Outcome.REFUSED]) | Q(reason=introducing.REASON))
    return list(rows.order_by("-created_at")[:TURNS])[::-1]


def given(answer: Answer) -> list[followups.Turn]:
    """The questions that came along with this one, each made to stand alone after those before it."""
    found: list[followups.Turn] = []
    for role, text in answer.context:
        if role == "user" and not introducing.kind(text):
            found.append(followups.Turn(followups.contextualize(text, found).question))
    return found


def turns(answers: Sequence[Answer]) -> list[followups.Turn]:
    """The person's own questions, as they stood alone."""
    return [followups.Turn(row.standalone_question or row.question) for row in answers]


def messages(user: User, answers: Sequence[Answer]) -> tuple[list[Message], frozenset[UUID]]:
    """Earlier turns as messages, as far as they may still be shown, and the documents they rest on."""
    if not answers:
        return [], frozenset()
    said: list[Message] = []
    inherited: set[UUID] = set()
    for row, view in zip(answers, present_all(actor=user, answers=answers), strict=True):
        if view.withheld or view.outcome != Outcome.ANSWERED:
            continue
        text = " ".join(sentence.text for sentence in view.sentences)
        said += [Message("user", view.question), Message("assistant", text)]
        inherited.update(row.rests_on.values_list("pk", flat=True))
    return said, frozenset(inherited)
