"""The worker's end of a search over REST. Knows: the Redis keys and what travels. Does not know: how search works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import shared_task
from django.db import DatabaseError

from assistant import observability
from assistant.accounts.models import User
from assistant.errors import AssistantError, Unavailable
from assistant.transport import redis_client
from retrieval.errors import RetrievalError

from . import sealed
from .services.asking import KEEP_SECONDS, reply_key, request_key

logger = logging.getLogger(__name__)


@shared_task(name="assistant.documents.search_tasks.search")
def search(request_id: str) -> None:
    """Search with the person's rights of this moment."""
    _serve(request_id, answer)


@shared_task(name="assistant.documents.search_tasks.prove")
def prove(request_id: str) -> None:
    """Search for an erased document's own sentences."""
    _serve(request_id, proof)


def _serve(request_id: str, respond: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Take the question once, and leave the reply for a minute."""
    client = redis_client()
    payload = client.getdel(request_key(request_id))
    if payload is None:  # answered by another worker, or nobody waits any more
        return
    try:
        with observability.context(actor="system", origin="task:search"):
            reply = respond(sealed.unseal(str(payload), seconds=KEEP_SECONDS))
    except (DatabaseError, RetrievalError) as error:
        logger.warning("search: %s", error)
        reply = _refusal(Unavailable("The search index does not answer.", retry_after=5))
    except AssistantError as error:
        reply = _refusal(error)
    with client.pipeline() as pipeline:
        pipeline.rpush(reply_key(request_id), sealed.seal(reply))
        pipeline.expire(reply_key(request_id), KEEP_SECONDS)
        pipeline.execute()


def proof(payload: dict[str, Any]) -> dict[str, Any]:
    from .search import searcher

    sentences = payload["sentences"]
    return {"asked": len(sentences), "found": searcher().still_finds(payload["document"], sentences)}


def answer(payload: dict[str, Any]) -> dict[str, Any]:
    """The reply as plain data. A person who is gone or disabled finds nothing."""
    from .search import searcher  # the index and the model: workers only

    user = User.objects.filter(pk=payload["user"]).first()
    if user is None:
        return {"results": [], "index_seq": 0, "model": ""}
    report = searcher().search(
        user=user, text=payload["query"], collections=payload["collections"], limit=payload["limit"]
    )
    return {
        "results": [
            {
                "document": str(found.chunk.document_id),
                "title": found.chunk.document.title,
                "collection": found.chunk.document.collection.slug,
                "page": found.chunk.page,
                "text": found.chunk.text,
                "score": found.score,
                "headings": found.chunk.headings,
                "chunk": found.chunk.pk,
                "version": found.chunk.version.number,
                "char_start": found.chunk.char_start,
                "char_end": found.chunk.char_end,
            }
            for found in report.passages
        ],
        "index_seq": report.index_seq,
        "model": report.model,
    }


def _refusal(error: AssistantError) -> dict[str, Any]:
    return {"error": {"status": error.status, "code": error.code, "detail": error.detail}}
