"""Asking from a command: through the running workers, or in this process when there are none.

Knows: who is alive (`health`) and how to wait. Does not know: output formats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from django.conf import settings

from assistant import health, observability
from assistant.accounts.models import User

from . import services
from .models import AnswerStatus
from .presentation import AnswerView, present

Say = Callable[[str], None]


def answered(
    *,
    actor: User,
    question: str,
    conversation_id: UUID | str | None = None,
    collections: Sequence[str] = (),
    origin: str,
    say: Say,
) -> AnswerView:
    """Ask as `actor` and return the finished answer. `say` hears a sentence when it is answered in this process."""
    with observability.context(actor=f"user:{actor.pk}", role=actor.role, origin=f"command:{origin}"):
        row, _ = services.ask(actor=actor, question=question, conversation_id=conversation_id, collections=collections)
        if health.worker("answers").ok:
            row = services.wait(actor=actor, answer_id=row.pk, seconds=settings.ANSWER_DEADLINE_SECONDS + 10)
        if row.status != AnswerStatus.DONE:
            say("No answers worker is running: answering in this process.")
            from . import tasks  # the models and the index: only when they are needed here

            tasks.work(row.pk)
            row = services.wait(actor=actor, answer_id=row.pk, seconds=settings.ANSWER_DEADLINE_SECONDS)
        return present(actor=actor, answer=row)
