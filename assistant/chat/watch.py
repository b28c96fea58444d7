"""One thread that looks after every answer this process is working on.

It renews leases, and notices within TICK_SECONDS that an answer is to stop: its owner asked for it, the person was
disabled, or another worker holds a newer fence. An engine asks its ticket at every step, which costs nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection

from assistant import leases

from .models import Answer

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15
TICK_SECONDS = 0.2


class Ticket:
    """What the watch knows of one running answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.renewed = time.monotonic()
        self.cancelled = False  # its owner stopped it
        self.disabled = False  # its owner may no longer ask
        self.lost = False  # another worker has it, or the row is gone

    def stop(self) -> bool:
        return self.cancelled or self.disabled or self.lost


class Watch:
    """`with watch.over(answer) as ticket:` for as long as the work lasts. The thread lives only while there is work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: set[Ticket] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, answer: Answer) -> Iterator[Ticket]:
        ticket = Ticket(answer)
        with self._lock:
            self._tickets.add(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="answer-watch", daemon=True)
                self._thread.start()
        try:
            yield ticket
        finally:
            with self._lock:
                self._tickets.discard(ticket)

    def _run(self) -> None:
        try:
            while True:
                time.sleep(TICK_SECONDS)
                with self._lock:
                    tickets = list(self._tickets)
                    if not tickets:
                        self._thread = None
                        return
                try:
                    self._look(tickets)
                except DatabaseError as error:  # it is asked again in a moment; meanwhile the lease protects
                    logger.warning("answers cannot be watched: %s", error)
                    connection.close()
        finally:
            connection.close()

    @staticmethod
    def _look(tickets: list[Ticket]) -> None:
        rows = {
            pk: (fence, cancel, active)
            for pk, fence, cancel, active in Answer.objects.filter(
                pk__in=[ticket.answer.pk for ticket in tickets]
            ).values_list("pk", "fence", "cancel_requested", "owner__is_active")
        }
        for ticket in tickets:
            fence, cancel, active = rows.get(ticket.answer.pk, (None, False, True))
            ticket.lost = ticket.lost or fence != ticket.answer.fence
            ticket.cancelled = ticket.cancelled or cancel
            ticket.disabled = ticket.disabled or not active
            if not ticket.lost and time.monotonic() - ticket.renewed > LEASE_SECONDS / 3:
                try:
                    leases.renew(ticket.answer, seconds=LEASE_SECONDS)
                    ticket.renewed = time.monotonic()
                except leases.LeaseLost:
                    ticket.lost = True


watch = Watch()
