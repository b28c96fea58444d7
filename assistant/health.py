"""Is every part alive? Reads only: the database, Redis, the workers' heartbeats and the disk.

Knows: how a heartbeat looks in Redis. Does not know: jobs or documents (the pages that show queues ask their rooms).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection

from assistant.transport import redis_client

_PREFIX = "heartbeat:"
QUEUES = ("answers", "ingestion")
SEEN_SECONDS = 3.0
_attended: dict[str, tuple[float, bool]] = {}  # by queue: until when that holds


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the system, in words. `facts` are numbers for the page and for machines."""

    name: str
    ok: bool
    words: str
    facts: dict[str, Any] = field(default_factory=dict)


def beat(queue: str, *, seconds: int, facts: dict[str, Any] | None = None) -> None:
    """Leave a sign of life for `seconds`. A Redis that is away is not this process's failure: it will come back."""
    body = {"queue": queue, "host": socket.gethostname(), "pid": os.getpid(), "at": time.time(), **(facts or {})}
    try:
        redis_client().set(f"{_PREFIX}{queue}:{body['host']}:{body['pid']}", json.dumps(body), ex=seconds)
    except redis.RedisError:
        return


def workers() -> list[dict[str, Any]]:
    """The heartbeats now in Redis. Raises redis.RedisError."""
    client = redis_client()
    keys = sorted(client.scan_iter(f"{_PREFIX}*", count=1000))
    return [json.loads(value) for value in (client.mget(keys) if keys else []) if value]


def database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        return Part("database", False, f"The database does not answer: {error}")
    return Part("database", True, "The database answers.", {"vendor": connection.vendor})


def transport() -> Part:
    try:
        redis_client().ping()
    except redis.RedisError as error:
        return Part("redis", False, f"Redis does not answer: {error}. Questions wait; nothing is lost.")
    return Part("redis", True, "Redis answers.")


def worker(queue: str) -> Part:
    """Whether a worker of the queue lives and, for answers, holds an index replica."""
    try:
        alive = [entry for entry in workers() if entry["queue"] == queue]
    except redis.RedisError:
        return Part(queue, False, "Unknown while Redis does not answer.")
    if not alive:
        return Part(queue, False, f"No worker serves the queue “{queue}”. Start one; waiting work is not lost.")
    if queue == "answers" and not any(entry.get("replica_ready") for entry in alive):
        return Part(queue, False, "The answers worker is loading its index replica.", {"workers": alive})
    return Part(queue, True, f"{len(alive)} worker process(es) alive.", {"workers": alive})


def attended(queue: str) -> bool:
    """Whether a worker of the queue can take work, as it was seen at most SEEN_SECONDS ago. True while Redis does not
    tell: what waits there is another matter."""
    until, seen = _attended.get(queue, (0.0, True))
    if time.monotonic() >= until:
        found = worker(queue)
        seen = found.ok or not transport().ok
        _attended[queue] = time.monotonic() + SEEN_SECONDS, seen
    return seen


def disk() -> Part:
    usage = shutil.disk_usage(settings.DATA_DIR)
    free = usage.free / usage.total
    words = f"{usage.free / 2**30:.1f} GiB free ({free:.0%}) where data lies."
    return Part("disk", usage.free > 512 * 2**20, words, {"free_bytes": usage.free, "total_bytes": usage.total})


def report() -> list[Part]:
    """Every part, in the order a reader would ask."""
    return [database(), transport(), *(worker(queue) for queue in QUEUES), disk()]
