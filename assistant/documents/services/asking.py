"""Search from the web process: the question goes to an answers worker, the passages come back.

Knows: Redis keys and the record. Does not know: how the search is done (`documents.search_desk`, in the worker,
with the rights that the person has at that moment).

The question travels, and becomes a vector, while the web process writes down that it was asked. That touches nothing
but the question itself: the worker looks at no index, right or row before it has the word that the record is on disk.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
WORD_SECONDS = 8  # how long a worker waits for the word; the record takes 2.5 seconds at most
GO, LEAVE = "go", "leave"


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
    intent = partial(audit.intent, action="search.asked", detail=detail, content=content)
    question = {"user": actor.pk, "query": asked.text, "collections": list(collections), "limit": limit}
    reply = _call(question, meanwhile=intent)
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


def word_key(request_id: str) -> str:
    return f"search:{request_id}:word"


def message(kind: str, request_id: str, payload: dict[str, Any]) -> str:
    """What lies in the list `WAITING`: which question, where the reply goes, and the question itself, sealed."""
    return json.dumps([kind, request_id, sealed.seal(payload)])


def _call(
    payload: dict[str, Any],
    *,
    task: str = SEARCH,
    seconds: int | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """A worker's reply. `meanwhile` runs while the question travels: nothing is searched before it has returned, and
    nothing at all when it raises. It runs when no question can be sent too."""
    request_id = uuid.uuid4().hex
    client = redis_client()
    asked = message(task, request_id, payload)
    try:
        _send(client, WAITING, asked)
    except redis.RedisError as error:
        meanwhile()
        raise _away() from error
    try:
        meanwhile()
    except BaseException:
        _take_back(client, request_id, asked)
        raise
    deadline = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds)
    try:
        # The word and the first wait for the reply go out together: one way to Redis, not two. A Redis that takes
        # no word says so after that wait, which is a short one for this reason.
        with client.pipeline(transaction=False) as pipeline:
            if task == SEARCH:
                _put(pipeline, word_key(request_id), GO)
            pipeline.blpop([reply_key(request_id)], timeout=1)
            answer = pipeline.execute()[-1]
        while answer is None and time.monotonic() < deadline:
            answer = client.blpop([reply_key(request_id)], timeout=_patience(deadline))
        if answer is None:
            client.lrem(WAITING, 0, asked)
            client.delete(word_key(request_id))
    except redis.RedisError as error:
        raise _away() from error
    if answer is None:
        raise Unavailable(
            "No search worker answered. Try again in a moment.", code="search_worker_away", retry_after=10
        )
    return _open(str(answer[1]))


def _send(client: redis.Redis, key: str, text: str) -> None:
    with client.pipeline(transaction=False) as pipeline:
        _put(pipeline, key, text)
        pipeline.execute()


def _put(pipeline: redis.client.Pipeline, key: str, text: str) -> None:
    pipeline.rpush(key, text)
    pipeline.expire(key, KEEP_SECONDS)


def _take_back(client: redis.Redis, request_id: str, asked: str) -> None:
    """From the list, or from the worker that waits for the word. Without Redis it is not searched either: no word
    comes."""
    try:
        if not client.lrem(WAITING, 0, asked):
            _send(client, word_key(request_id), LEAVE)
    except redis.RedisError as error:
        logger.warning("a question cannot be taken back: %s", error)


def _away() -> Unavailable:
    return Unavailable("Search is not available for the moment.", retry_after=5)


def _patience(deadline: float) -> int:
    """Whole seconds of the next wait; fewer than the connection waits for any reply."""
    return min(5, max(1, round(deadline - time.monotonic())))


def _open(answer: str) -> dict[str, Any]:
    reply: dict[str, Any] = sealed.unseal(answer, seconds=KEEP_SECONDS)
    if "error" in reply:
        failure = Unavailable if reply["error"]["status"] == 503 else AssistantError
        raise failure(reply["error"]["detail"], code=reply["error"]["code"])
    return reply
