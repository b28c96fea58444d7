"""How much one person may ask: the queue, half of it for one, a number a day, and half of the places being worked on.

Knows: unfinished rows, a count by day, and, inside one worker, who is being answered. Does not know HTTP (a refusal is
TooMany with seconds to wait). The queue and the day's count are the database's, exact under parallel calls; calls in a
minute are `api.throttling`'s.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Q
from django.utils import timezone

from assistant import errors
from assistant.accounts.models import User

from .models import Answer, AnswerStatus, DailyQuestions

_QUEUE_LOCK = 0x616E7377


def serialise() -> None:
    """One asker at a time from here to the commit: limits and keys are exact. SQLite writes are serial anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_QUEUE_LOCK])


def check_room(actor: User) -> None:
    """Raises TooMany when the queue is full or the person holds half of it."""
    limit = settings.ANSWER_QUEUE_LIMIT
    unfinished = Answer.objects.exclude(status=AnswerStatus.DONE)
    held = unfinished.aggregate(by_all=Count("pk"), by_one=Count("pk", filter=Q(owner=actor)))
    if held["by_all"] >= limit:
        raise errors.TooMany("Many people are asking. Try again in a moment.", code="queue_full", retry_after=5)
    if held["by_one"] >= max(1, limit // 2):
        raise errors.TooMany(
            "Wait until some of your own questions are answered.", code="too_many_questions", retry_after=5
        )


def count_question(actor: User) -> None:
    """Count a question of today. Under `serialise`, in the transaction that stores it. Raises TooMany."""
    today = timezone.localdate()
    below = DailyQuestions.objects.filter(owner=actor, day=today, count__lt=settings.QUESTIONS_PER_DAY)
    more = F("count") + 1
    if below.update(count=more):
        return
    _, first = DailyQuestions.objects.get_or_create(owner=actor, day=today)
    if not (first and below.update(count=more)):
        raise errors.TooMany(
            f"You have asked {settings.QUESTIONS_PER_DAY} questions today. Ask again tomorrow.",
            code="daily_quota",
            retry_after=_until_midnight(),
        )


def forget_days() -> int:
    """Drop counts of days before yesterday; how many. For the sweeper."""
    dropped, _ = DailyQuestions.objects.filter(day__lt=timezone.localdate() - timedelta(days=1)).delete()
    return dropped


def _until_midnight() -> int:
    tomorrow = timezone.localdate() + timedelta(days=1)
    midnight = timezone.make_aware(datetime.combine(tomorrow, time()))
    return max(1, round((midnight - timezone.now()).total_seconds()))


class Seats:
    """The places of one answers worker. One person takes half of them at most, so that somebody with many questions
    never makes the others wait for all of them."""

    def __init__(self, places: int) -> None:
        self.each = max(1, places // 2)
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    @contextmanager
    def offered(self, owner: int) -> Iterator[bool]:
        """Whether the person has a place for the length of the block."""
        with self._lock:
            free = self._taken[owner] < self.each
            self._taken[owner] += free
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._taken[owner] -= 1
                    if not self._taken[owner]:
                        del self._taken[owner]


seats = Seats(settings.ANSWER_SLOTS)
