"""Writing to the audit log. (First cut: chain and lock; deepened by the room's owner.)"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from assistant import observability

from .models import AuditEvent

_LOCK = 0x61756469


def record(
    *,
    action: str,
    outcome: str = "success",
    target: tuple[str, str] | None = None,
    detail: dict[str, Any] | None = None,
    content: dict[str, str] | None = None,
) -> AuditEvent:
    """Append one event in the current transaction. Who acts comes from `observability.current()`."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        last = AuditEvent.objects.order_by("-seq").first()
        facts = observability.current()
        event = AuditEvent(
            seq=(last.seq if last else 0) + 1,
            at=timezone.now(),
            request_id=facts.request_id,
            actor=facts.actor,
            role=facts.role,
            session=facts.session,
            origin=facts.origin,
            action=action,
            target_type=target[0] if target else "",
            target_id=target[1] if target else "",
            outcome=outcome,
            detail=detail or {},
            previous=last.digest if last else "0" * 64,
        )
        body = json.dumps([event.seq, event.previous, event.action, event.detail], sort_keys=True)
        event.digest = hashlib.sha256(body.encode()).hexdigest()
        event.save(force_insert=True)
        return event


def intent(**fields: Any) -> AuditEvent:
    """The event that must be on record before anything is retrieved, exported or deleted."""
    return record(outcome="intent", **fields)
