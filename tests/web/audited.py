"""A log as it looks after two years, for the pages of reviewers in a browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from assistant import observability
from assistant.accounts import review, two_people
from assistant.accounts.models import User
from assistant.audit import retention, services
from assistant.audit.models import AuditEvent
from assistant.chat.models import Answer


def places(people, answered: Answer) -> list[tuple[str, User, str]]:
    """(name, person, path) of what reviewers do in pairs, keep and replay: segments that may go and one that went,
    requests for it and for a text, kept searches, an answer on record that says something else when it is replayed.
    Before anything else is recorded: the log's time runs forward."""
    reviewer, other = people.auditor, people.administrator
    _old_segments()
    retention.prune(last=4, requested_by=f"user:{reviewer.pk}", approved_by=f"user:{other.pk}")
    asked, shown = _answer(answered)
    opening = two_people.ask_to_open(
        actor=other, seq=asked.seq, reason="A complaint about this question, number 26/114"
    )
    two_people.ask_to_open(actor=reviewer, seq=asked.seq, reason="Asked by the works council on 3 November")
    two_people.decide(actor=reviewer, permit_id=opening.pk, approve=True)
    two_people.ask_to_prune(actor=other, last=8, reason="Their time is over")
    query = f"person={people.employee.email}&action=answer.asked&outcome=intent&since=2026-01-01&until=2099-12-31"
    review.save(actor=reviewer, name="Questions of one person in a year with a very long name", query=query)
    review.save(actor=reviewer, name="出错的", query="outcome=failed")
    return [
        ("audit-filtered", reviewer, f"/audit/?{query}"),
        ("audit-answer", reviewer, f"/audit/{shown.seq}/"),
        ("audit-text", reviewer, f"/audit/{asked.seq}/"),
        ("audit-queries", reviewer, "/audit/searches/"),
        ("audit-pruning", reviewer, "/audit/pruning/"),
        ("audit-pairs", reviewer, "/audit/permits/"),
        ("audit-pairs-own", other, "/audit/permits/"),
        ("audit-replay", reviewer, f"/audit/answers/{answered.pk}/"),
    ]


def _old_segments() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "SEGMENT_EVENTS", 4)
        for days in (500, 450, 420):
            at = timezone.now() - timedelta(days=days)
            with pytest.MonkeyPatch.context() as clock:
                clock.setattr(services.timezone, "now", lambda at=at: at)
                while AuditEvent.objects.count() % 4 or not AuditEvent.objects.filter(at=at).exists():
                    services.record(action="answer.asked", content={"question": "How much?"})
                services.seal_segments()


def _answer(answered: Answer) -> tuple[AuditEvent, AuditEvent]:
    owner, target = answered.owner, ("answer", str(answered.pk))
    document = str(answered.rests_on.get().pk)
    with observability.context(
        actor=f"user:{owner.pk}", role=owner.role, session="a" * 16, origin="10.0.0.7", request_id="r" * 32
    ):
        asked = services.record(
            action="answer.asked",
            outcome="intent",
            target=target,
            detail={"collections": ["handbook"], "characters": 31, "flags": []},
            content={"question": answered.question},
        )
        shown = services.record(
            action="answer.shown",
            target=target,
            detail={
                "intent": asked.seq, "outcome": "answered", "engine": "extractive", "model": "", "text": "0f" * 32,
                "timings": {"queue": 12, "search": 31, "evidence": 88, "generate": 4, "total": 140}, "index_seq": 17,
                "embedding": "all-MiniLM-L6-v2@8b3219a92973c328a8e22fadcfa821b5dc75636a", "code": "0.1.0+abc",
                "retrieved": [
                    {"chunk": number, "document": document, "page": 1, "score": 0.9 - number / 20}
                    for number in range(10)
                ],
                "shown": [0, 1], "dropped": [], "answerable": 0.93, "threshold": 0.5,
                "cited": [{"document": document, "chunk": 0, "page": 1, "verified": True}],
            },
        )  # fmt: skip
    verdict = {
        "verdict": "differs",
        "event": shown.seq,
        "reason": "text",
        "sentences": 2,
        "differing": [2],
        "missing": 0,
    }
    runs = {"recorded": ["extractive", "", "0.1.0+abc"], "now": ["extractive", "", "0.1.0+def"]}
    services.record(action="answer.replayed", outcome="failed", target=target, detail={**verdict, **runs})
    return asked, shown
