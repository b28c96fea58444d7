"""The worker's end of a search: threads of the answers worker that do nothing but search.

Knows: the Redis keys, what travels, and the threads. Does not know: how search works, or who waits for the reply.

Searches do not stand in the Celery queue of the answers: a model that writes for minutes would make them wait for a
slot. They come over a list of their own, and `SEARCH_SLOTS` threads in the same process take from it, so that both
share one index replica and one embedding model. Nothing is lost that a queue would keep: whoever asked waits
seconds, and asks again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, connections

from assistant import observability, version
from assistant.accounts.models import User
from assistant.backends.prepared import Prepared
from assistant.errors import AssistantError, Unavailable
from assistant.guardrails import levels
from assistant.transport import redis_client
from retrieval.errors import RetrievalError

from . import sealed
from .services.asking import GO, KEEP_SECONDS, PROVE, WAITING, WORD_SECONDS, reply_key, word_key

logger = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds; how long a thread waits at a silent list, or for a Redis that is away, before it looks again


class Desk:
    """`SEARCH_SLOTS` threads that answer searches until `close`."""

    def __init__(self, slots: int | None = None) -> None:
        self._closed = threading.Event()
        count = settings.SEARCH_SLOTS if slots is None else slots
        self._threads = [
            threading.Thread(target=self._work, name=f"search-{number}", daemon=True) for number in range(count)
        ]

    def open(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Finish the searches begun; those that wait are left to other workers."""
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _work(self) -> None:
        try:
            while not self._closed.is_set():
                self._next()
        finally:
            connections.close_all()

    def _next(self) -> None:
        try:
            if message := redis_client().blpop([WAITING], timeout=_PAUSE):
                serve(str(message[1]))
        except redis.RedisError as error:
            logger.warning("searches cannot be fetched: %s", error)
            self._closed.wait(_PAUSE)
        except Exception:  # one search that breaks must not end the thread that serves the next
            logger.exception("a search broke")
        finally:
            close_old_connections()


def serve(message: str) -> None:
    """Answer one message of the list (`asking.message`), and leave the reply for a minute. One that is too old, or was
    not sealed here, is let go: nobody waits for it."""
    kind, request_id, question = json.loads(message)
    try:
        payload = sealed.unseal(question, seconds=KEEP_SECONDS)
    except ValueError:
        return
    try:
        with observability.context(actor="system", origin="task:search"):
            reply = proof(payload) if kind == PROVE else answer(payload, told=partial(_told, request_id))
    except _Withdrawn:
        return
    except (DatabaseError, RetrievalError) as error:
        logger.warning("search: %s", error)
        reply = _refusal(Unavailable("The search index does not answer.", retry_after=5))
    except AssistantError as error:
        reply = _refusal(error)
    with redis_client().pipeline(transaction=False) as pipeline:
        pipeline.rpush(reply_key(request_id), sealed.seal(reply))
        pipeline.expire(reply_key(request_id), KEEP_SECONDS)
        pipeline.execute()


class _Withdrawn(Exception):
    """Whoever asked does not wait any more, or it could not be put on record."""


def _told(request_id: str) -> None:
    """Wait for the word that the question is on record. Raises _Withdrawn."""
    word = redis_client().blpop([word_key(request_id)], timeout=WORD_SECONDS)
    if word is None or word[1] != GO:
        raise _Withdrawn


def proof(payload: dict[str, Any]) -> dict[str, Any]:
    from .search import searcher

    sentences = payload["sentences"]
    return {"asked": len(sentences), "found": searcher().still_finds(payload["document"], sentences)}


def answer(payload: dict[str, Any], *, told: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The reply as plain data. A person who is gone or disabled finds nothing.

    Before `told` has returned the question alone is looked at: no person, right, index or row."""
    from .search import searcher  # the index and the model: workers only

    took = [time.perf_counter()]
    vector = searcher().embedded(payload["query"])
    took.append(time.perf_counter())
    told()
    took.append(time.perf_counter())
    rows = _USER.rows(user=payload["user"])
    if not rows:
        return {"results": [], "index_seq": 0, "model": "", "timings": {}}
    user = User.from_db(connection.alias, _FIELDS, rows[0])
    report = searcher().search(
        user=user, text=payload["query"], collections=payload["collections"], limit=payload["limit"], vector=vector
    )
    embed, word = ((end - start) * 1000 for start, end in pairwise(took))
    return {
        "results": [
            {
                "document": str(found.chunk.document_id),
                "title": found.passage.title,
                "collection": found.chunk.document.collection.slug,
                "page": found.chunk.page,
                "text": found.passage.shown.text,
                "score": found.score,
                "headings": list(found.passage.headings),
                "chunk": found.chunk.pk,
                "version": found.chunk.version.number,
                "suspicious": found.chunk.suspicion >= levels.THRESHOLD_BANNER,
                "char_start": found.chunk.char_start,
                "char_end": found.chunk.char_end,
            }
            for found in report.passages
        ],
        "index_seq": report.index_seq,
        "model": report.model,
        "reranker": report.reranker,
        "code": version.code(),
        # For benchmarks; never for people: what others hold could show in it.
        "timings": {"embed": embed, "word": word, **report.timings},
    }


_FIELDS = [field.attname for field in User._meta.concrete_fields]
_USER = Prepared(lambda user: User.objects.filter(pk=user).order_by().values_list(*_FIELDS))


def _refusal(error: AssistantError) -> dict[str, Any]:
    return {"error": {"status": error.status, "code": error.code, "detail": error.detail}}
