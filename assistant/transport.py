"""Redis connections: transport and live streams, never the truth.

Knows: the address from settings. Does not know: what is sent.
"""

from __future__ import annotations

from functools import lru_cache

import redis
import redis.asyncio
from django.conf import settings


@lru_cache(maxsize=1)
def redis_client() -> redis.Redis:
    """The process-wide blocking client (thread-safe, pooled, str in and out)."""
    return redis.Redis.from_url(
        settings.REDIS_URL, decode_responses=True, socket_timeout=10, socket_connect_timeout=2, health_check_interval=30
    )


def async_redis_client() -> redis.asyncio.Redis:
    """A new asyncio client; the caller closes it (`async with`)."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, decode_responses=True, socket_timeout=10, socket_connect_timeout=2
    )
