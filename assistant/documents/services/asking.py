"""Search from the web process: the question goes to an answers worker, the passages come back.

Knows: Redis keys and the record. Does not know: how the search is done (`documents.search_desk`, in the worker,
with the rights that the person has at that moment).
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from assistant import health
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit import services as audit
from assistant.documents import sealed
from assistant.errors import AssistantError, Unavailable
from assistant.guardrails import sanitize
from assistant.transport import redis_client

logger = logging.getLogger(__name__)

SEARCH = "search"
PROVE = "prove"
WAITING = "search:waiting"  # the list that the workers' search threads take from (`documents.search_desk`)
WAIT_SECONDS = 15
PROOF_SECONDS = 5
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
    suspicious: bool = False  # reads like an attempt to instruct the assistant


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
        "reranker": reply.get("reranker", ""),
        "code": reply.get("code", ""),
    }
    audit.record(action="search.shown", detail=shown)
    return results


def search_again(*, document_id: uuid.UUID, sentences: Sequence[str]) -> dict[str, int]:
    """Ask a worker for an erased document's own sentences, in every partition: how many were asked, and how many still
    found it. Empty while no worker lives or none answers in time; the erasure itself does not depend on it."""
    try:
        if not sentences or not any(worker["queue"] == "answers" for worker in health.workers()):
            return {}
        payload = {"document": str(document_id), "sentences": list(sentences)}
        reply = _call(payload, task=PROVE, seconds=PROOF_SECONDS)
    except (redis.RedisError, Unavailable) as error:
        logger.warning("the erasure of %s is not proved: %s", document_id, error)
        return {}
    return {"sentences_asked": reply["asked"], "sentences_found": reply["found"]}


def reply_key(request_id: str) -> str:
    return f"search:{request_id}:reply"


def message(kind: str, request_id: str, payload: dict[str, Any]) -> str:
    """What lies in the list `WAITING`: which question, where the reply goes, and the question itself, sealed."""
    return json.dumps([kind, request_id, sealed.seal(payload)])


def _call(payload: dict[str, Any], *, task: str = SEARCH, seconds: int | None = None) -> dict[str, Any]:
    request_id = uuid.uuid4().hex
    client = redis_client()
    asked = message(task, request_id, payload)
    deadline = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds)
    try:
        # The question and the first wait for its reply go out together: one way to Redis, not two. A Redis that takes
        # no question says so after that wait, which is a short one for this reason.
        with client.pipeline(transaction=False) as pipeline:
            pipeline.rpush(WAITING, asked)
            pipeline.expire(WAITING, KEEP_SECONDS)
            pipeline.blpop([reply_key(request_id)], timeout=1)
            answer = pipeline.execute()[-1]
        while answer is None and time.monotonic() < deadline:
            answer = client.blpop([reply_key(request_id)], timeout=_patience(deadline))
        if answer is None:
            client.lrem(WAITING, 0, asked)
    except redis.RedisError as error:
        raise Unavailable("Search is not available for the moment.", retry_after=5) from error
    if answer is None:
        raise Unavailable(
            "No search worker answered. Try again in a moment.", code="search_worker_away", retry_after=10
        )
    return _open(str(answer[1]))


def _patience(deadline: float) -> int:
    """Whole seconds of the next wait; fewer than the connection waits for any reply."""
    return min(5, max(1, round(deadline - time.monotonic())))


def _open(answer: str) -> dict[str, Any]:
    reply: dict[str, Any] = sealed.unseal(answer, seconds=KEEP_SECONDS)
    if "error" in reply:
        failure = Unavailable if reply["error"]["status"] == 503 else AssistantError
        raise failure(reply["error"]["detail"], code=reply["error"]["code"])
    return reply
