"""Live answers: a worker publishes to a Redis stream, readers follow it and may resume where they stopped.

Knows: the stream `answer:{id}`, the row behind it, and that the row is the truth: a stream that is gone (Redis was
flushed or restarted, the hour is over) only means that the reader waits for the finished row. What a reader gets is
checked against their rights at that moment, batch by batch; what lies in Redis is sealed. Does not know HTTP.

Events: `status` {"status", "position"} (with status "processing" a reader clears what it showed: a new attempt begins),
`sources` [{"marker", "document", "title", "collection", "page"}], `delta` {"text"}, `thinking` {"text"}, `citation`
{"marker", "document", "title", "collection", "page", "quote", "verified"}, `done` the whole view, and `heartbeat` when
nothing happens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import redis
from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import close_old_connections
from redis.asyncio import Redis

from assistant import health
from assistant.accounts.models import User
from assistant.documents import personal, policy, sealed
from assistant.documents.models import Document
from assistant.transport import async_redis_client, redis_client

from .models import Answer, AnswerStatus
from .presentation import AnswerView, present, queue_position

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LIVE_SECONDS = 3600
FINISHED_SECONDS = 600  # once done, the row says everything: the stream serves late resumers only
MAX_ENTRIES = 20_000
HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 1.0  # how often a silent reader looks at the row
_ID = re.compile(r"\d{1,20}-\d{1,20}\Z")
_CONTENT = frozenset({"sources", "delta", "thinking", "citation"})


@dataclass(frozen=True, slots=True)
class Event:
    """One event for a reader. `id` resumes after it; "" when the event came from the row and cannot be resumed."""

    id: str
    event: str
    data: Any


def stream_key(answer_id: UUID) -> str:
    return f"answer:{answer_id}"


def dumps(data: Any) -> str:
    return json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"))


def in_thread(call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """The call in one of the loop's few threads, so that many silent readers hold few database connections, or none."""

    def one(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(one, thread_sensitive=False)


def entries_of(found: Any) -> list[tuple[str, dict[str, str]]]:
    """The entries of XREAD's reply for one stream; empty when there were none."""
    return list(found[0][1]) if found else []


def _opened(fields: dict[str, str]) -> Any:
    return json.loads(sealed.unseal(fields["data"], seconds=2 * LIVE_SECONDS))


class Publisher:
    """Writes the events of one answer. A Redis that is away costs the live view, never the answer."""

    def __init__(self, answer_id: UUID) -> None:
        self._key = stream_key(answer_id)
        self._muted_until = 0.0

    def publish(self, event: str, data: Any, *, expire: int = LIVE_SECONDS) -> None:
        if time.monotonic() < self._muted_until:
            return
        try:
            with redis_client().pipeline(transaction=False) as pipe:
                fields: dict[Any, Any] = {"event": event, "data": sealed.seal(dumps(data))}
                pipe.xadd(self._key, fields, maxlen=MAX_ENTRIES, approximate=True)
                pipe.expire(self._key, expire)
                pipe.execute()
        except redis.RedisError as error:
            logger.warning("live stream %s: %s", self._key, error)
            self._muted_until = time.monotonic() + 1.0

    def done(self, outcome: str) -> None:
        """Says that the row is finished; readers take the content from there."""
        self.publish("done", {"outcome": outcome}, expire=FINISHED_SECONDS)


def forget(answer_ids: list[UUID]) -> None:
    """Drop the streams of erased answers."""
    if not answer_ids:
        return
    try:
        redis_client().delete(*map(stream_key, answer_ids))
    except redis.RedisError as error:
        logger.warning("live streams not dropped, they expire within the hour: %s", error)


async def follow(*, actor: User, answer_id: UUID, last_event_id: str = "") -> AsyncIterator[Event]:
    """The events after `last_event_id` until `done`, which is always the last. Ends quietly when the row is gone.

    The caller has checked that the answer is the actor's. Ends for a person who is disabled meanwhile.
    """
    position = last_event_id if _ID.match(last_event_id) else "0-0"
    reader = _Reader(actor.pk, answer_id)
    spoken = time.monotonic()
    entries: list[Event] = []
    try:
        if not position.startswith("0-"):
            await reader.learn_sources()
        while True:
            finished = None
            if not entries or entries[-1].event == "done":
                glance = await reader.glance()
                if glance is None:
                    return
                finished = glance.view
                if glance.news:
                    spoken = time.monotonic()
                    yield Event("", "status", glance.news)
            entries = await reader.read(position, wait=finished is None)
            if finished is not None and not entries:
                yield Event("", "done", finished.as_dict())
                return
            allowed = bool(entries) and await reader.allows(entries)
            for entry in entries:
                position = entry.id
                if entry.event != "done" and (entry.event not in _CONTENT or allowed):
                    spoken = time.monotonic()
                    yield entry
            if time.monotonic() - spoken >= HEARTBEAT_SECONDS:
                spoken = time.monotonic()
                yield Event("", "heartbeat", {})
    finally:
        await reader.close()


@dataclass(frozen=True, slots=True)
class _Glance:
    news: dict[str, Any] | None  # a place in the queue not yet told; that work has begun is the worker's to say
    view: AnswerView | None  # set when the answer is finished


class _Reader:
    """One follower: its Redis connection, and what it knows of the sources shown so far."""

    def __init__(self, actor_id: int, answer_id: UUID) -> None:
        self._actor_id = actor_id
        self._answer_id = answer_id
        self._documents: set[str] = set()
        self._told: dict[str, Any] | None = None
        self._client: Redis = async_redis_client()

    async def close(self) -> None:
        await self._client.aclose()

    async def learn_sources(self) -> None:
        """A resuming reader must know which documents the text rests on, to be refused it when one is taken away."""
        try:
            found = await self._client.xread({stream_key(self._answer_id): "0-0"})
            for _, fields in entries_of(found):
                if fields["event"] == "sources":
                    self._note(_opened(fields))
        except redis.RedisError:
            return  # the stream is gone: there is nothing to show from it either

    async def read(self, position: str, *, wait: bool) -> list[Event]:
        """New entries; waits up to LOOK_SECONDS for the first when `wait`."""
        block = int(LOOK_SECONDS * 1000) if wait else None
        try:
            found = await self._client.xread({stream_key(self._answer_id): position}, count=200, block=block)
        except redis.RedisError:
            if wait:
                await asyncio.sleep(LOOK_SECONDS / 2)
            return []
        return [Event(id, fields["event"], _opened(fields)) for id, fields in entries_of(found)]

    async def glance(self) -> _Glance | None:
        return await in_thread(self._glance)()

    async def allows(self, entries: list[Event]) -> bool:
        for entry in entries:
            if entry.event == "sources":
                self._note(entry.data)
        return await in_thread(self._allows)()

    def _note(self, sources: list[dict[str, Any]]) -> None:
        self._documents.update(str(source["document"]) for source in sources)

    def _glance(self) -> _Glance | None:
        answer = Answer.objects.filter(pk=self._answer_id, conversation__deleted_at=None).first()
        actor = User.objects.filter(pk=self._actor_id, is_active=True).first()
        if answer is None or actor is None or answer.owner_id != actor.pk:
            return None
        if answer.status == AnswerStatus.DONE:
            return _Glance(None, present(actor=actor, answer=answer))
        place = queue_position(answer)
        if place is None:
            self._told = None
            return _Glance(None, None)
        news = {"status": answer.status, "position": place, "attended": health.attended("answers")}
        told, self._told = self._told, news
        return _Glance(news if news != told else None, None)

    def _allows(self) -> bool:
        rows = Answer.objects.filter(owner=self._actor_id).select_related("owner").only("created_at", "owner")
        answer = rows.filter(pk=self._answer_id).first()
        if answer is None or not self._documents:
            return False
        readable = policy.readable_documents(answer.owner).filter(pk__in=self._documents)
        return readable.count() == len(self._documents) and not self._written_under_other_rules(answer.created_at)

    def _written_under_other_rules(self, asked: datetime) -> bool:
        """Whether policies on personal data changed since: what lies in the stream may show too much. The finished row
        is shown by the rules of now."""
        collections = Document.objects.filter(pk__in=self._documents).values("collection")
        return personal.changed_since(asked, collections)
