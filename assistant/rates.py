"""How often something may happen: exact counts in Redis, however many processes ask at once.

Knows: names, limits, a sliding window. Does not know: people or calls (`api.throttling` says what is counted). The
script runs whole inside Redis, so a hundred calls at one instant are counted one after the other; it looks at every
limit first and counts a call against all of them or none.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.transport import redis_client

_SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "hour": 3600, "h": 3600, "day": 86_400, "d": 86_400}
_FORM = re.compile(r"([1-9][0-9]{0,8})/([a-z]+)")

# KEYS: one sorted set for each limit. ARGV: a unique member, then (most, window in microseconds) for each key.
# Returns 0 when the call is counted, else the microseconds until it could be.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local wait = 0
for at, key in ipairs(KEYS) do
  local most, window = tonumber(ARGV[2 * at]), tonumber(ARGV[2 * at + 1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  if redis.call('ZCARD', key) >= most then
    local first = redis.call('ZRANGE', key, -most, -most, 'WITHSCORES')
    wait = math.max(wait, tonumber(first[2]) + window - now, 1)
  end
end
if wait > 0 then return wait end
for at, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('PEXPIRE', key, math.ceil(ARGV[2 * at + 1] / 1000))
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` times in any `seconds`."""

    most: int
    seconds: int


def parse(text: str) -> Rate | None:
    """ "600/min" as a rate; "" is no limit. Raises ValueError."""
    if not text:
        return None
    form = _FORM.fullmatch(text.strip().lower())
    if form is None or form[2] not in _SECONDS:
        raise ValueError(f"{text!r} is not a rate; write 600/min, 10/s, 5000/hour or 20000/day.")
    return Rate(int(form[1]), _SECONDS[form[2]])


def count(limits: Sequence[tuple[str, Rate]]) -> float:
    """Count one call against each named limit; 0.0, or the seconds to wait when one of them is reached (then nothing is
    counted). Raises redis.RedisError."""
    if not limits:
        return 0.0
    keys = [f"rate:{name}" for name, _ in limits]
    numbers = [number for _, rate in limits for number in (rate.most, rate.seconds * 1_000_000)]
    client = redis_client()
    waiting = client.eval(_SCRIPT, len(keys), *keys, secrets.token_hex(8), *map(str, numbers))
    return float(str(waiting)) / 1_000_000
