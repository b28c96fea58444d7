"""Search from the web process: the question goes to an answers worker, the passages come back.

Knows: Redis keys and the record. Does not know: how the search is done (`documents.search`, in the worker, with the
person's rights at that moment).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.documents import sealed
from assistant.errors import AssistantError, Unavailable
from assistant.guardrails import sanitize
from assistant.transport import redis_client

SEARCH = "assistant.documents.search_tasks.search"
WAIT_SECONDS = 15
KEEP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A passage the person may read. `score` orders within one response and means nothing across two."""

    document: str
    title: str
    collection: str
    page: int
    text: str
    score: float
    headings: tuple[str, ...]
    chunk: int
    version: int
    char_start: int
    char_end: int


def search(*, actor: User, query: str, collections: Sequence[str] = (), limit: int = 10) -> list[SearchResult]:
    """The passages that fit best, few of each document. Collections that are absent or foreign contribute nothing.

    Raises Invalid, Unavailable (no worker, no Redis), AuditUnavailable.
    """
    require(actor, Duty.ASK)
    asked = sanitize.question(query)
    content = {"query": asked.text}
    detail: dict[str, Any] = {"collections": sorted(set(collections)), "limit": limit, "flags": sorted(asked.flags)}
    audit.intent(action="search.asked", detail=detail, content=content)
    reply = _call({"user": actor.pk, "query": asked.text, "collections": list(collections), "limit": limit})
    results = [SearchResult(**{**row, "headings": tuple(row["headings"])}) for row in reply["results"]]
    shown = {
        "documents": sorted({result.document for result in results}),
        "chunks": [result.chunk for result in results],
        "index_seq": reply["index_seq"],
        "model": reply["model"],
    }
    audit.record(action="search.shown", detail=shown)
    return results


def request_key(request_id: str) -> str:
    return f"search:{request_id}"


def reply_key(request_id: str) -> str:
    return f"search:{request_id}:reply"


def _call(payload: dict[str, Any]) -> dict[str, Any]:
    request_id = uuid.uuid4().hex
    client = redis_client()
    try:
        client.set(request_key(request_id), sealed.seal(payload), ex=KEEP_SECONDS)
        current_app.send_task(SEARCH, args=[request_id], retry=False, expires=WAIT_SECONDS)
        deadline = time.monotonic() + WAIT_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if answer := client.blpop([reply_key(request_id)], timeout=min(5, max(1, round(left)))):
                return _open(str(answer[1]))
        client.delete(request_key(request_id))
    except (OperationalError, redis.RedisError) as error:
        raise Unavailable("Search is not available for the moment.", retry_after=5) from error
    raise Unavailable("No search worker answered. Try again in a moment.", code="search_worker_away", retry_after=10)


def _open(answer: str) -> dict[str, Any]:
    reply: dict[str, Any] = sealed.unseal(answer, seconds=KEEP_SECONDS)
    if "error" in reply:
        failure = Unavailable if reply["error"]["status"] == 503 else AssistantError
        raise failure(reply["error"]["detail"], code=reply["error"]["code"])
    return reply
