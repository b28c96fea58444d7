"""Who was turned away becomes an event: by which rule, from which kind of thing, how often.

Knows: the acting context, a rule, an object kind. Does not know: HTTP (`middleware` calls this), people, why.

The log must not be flooded: one event a minute for each person (or address, without a sign-in), rule and kind; the
others of that minute are counted in Redis and follow as one event, with the first twenty objects asked for. People who
have not signed in get ANONYMOUS_ROOM events a minute together, since addresses cost nothing. While Redis is away each
process counts for itself. A denial stays a denial whatever happens here: what cannot be recorded now is counted and
recorded later, and nothing is raised.

Absent and forbidden things take the same way through this file; that a thing exists is not looked up here.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import redis
from django.db import Error as DatabaseFault

from assistant import observability, rates
from assistant.errors import AuditUnavailable
from assistant.transport import redis_client

from . import services

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
ANONYMOUS_ROOM = rates.Rate(30, 60)
ASKED_AT_MOST = 20
ACTION = "access.denied"
_KEPT_SECONDS = 7 * 86_400  # counts outlive an audit log that is away for a while
_OPEN = "denied:open"  # a sorted set: each counted key, and when its minute is over
_PLAIN = re.compile(r"[\w.:@+-]{1,64}", re.ASCII)
_FACTS = ("request_id", "actor", "role", "session", "origin")

# KEYS: the count, the set of open ones. ARGV: seconds, the denial as JSON, what was asked for, how many names to keep.
# Returns how many denials this minute has had, this one included.
_COUNT = """
local seen = redis.call('HINCRBY', KEYS[1], 'seen', 1)
if seen == 1 then
  redis.call('HSET', KEYS[1], 'denial', ARGV[2])
  redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ARGV[1], KEYS[1])
  redis.call('EXPIRE', KEYS[1], ARGV[5])
elseif seen <= ARGV[4] + 1 and ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'asked:' .. ARGV[3], '1')
end
return seen
"""
# Takes away one count whose minute is over: its fields, or nothing.
_TAKE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1], 'LIMIT', 0, 1)
if #due == 0 then return false end
local fields = redis.call('HGETALL', due[1])
redis.call('DEL', due[1])
redis.call('ZREM', KEYS[1], due[1])
return {due[1], fields}
"""


@dataclass(frozen=True, slots=True)
class Denial:
    """`rule` is an error's code. `kind` and `asked`: what was asked for, as the address names it. `address`: the name
    of the address, `method` the verb."""

    rule: str
    status: int
    kind: str = ""
    asked: str = ""
    address: str = ""
    method: str = ""

    def detail(self, count: int) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "status": self.status,
            "address": self.address,
            "method": self.method,
            "count": count,
        }


def note(denial: Denial) -> None:
    """Put a denial of the current context on record, or count it. Raises nothing that a caller must handle."""
    denial = _plain(denial)
    facts = observability.current()
    anonymous = not facts.actor.startswith("user:")
    who = f"{facts.actor}@{facts.origin}" if anonymous else facts.actor
    key = f"denied:{who}|{denial.rule}|{denial.kind}"
    try:
        if _count(key, denial, facts) > 1:
            return
        if anonymous and rates.count([("denied:anonymous", ANONYMOUS_ROOM)]):
            _confirm(key)  # folded into the one count of all addresses
            _count("denied:anonymous||", Denial(denial.rule, denial.status), observability.Context())
            return
        if _record(denial, 1):
            _confirm(key)
    except redis.RedisError as error:
        logger.warning("denials are counted by this process alone: %s", error)
        if (count := _local.due(key)) and not _record(denial, count):
            _local.put_back(key, count)


def record_counted() -> int:
    """Events for the minutes that are over; how many. Raises AuditUnavailable, with nothing lost."""
    client = redis_client()
    written = 0
    while taken := client.eval(_TAKE, 1, _OPEN):
        key, flat = taken
        fields: dict[str, str] = dict(zip(flat[::2], flat[1::2], strict=True))
        count = int(fields.get("seen", 0)) - int(fields.get("recorded", 0))
        if count <= 0 or "denial" not in fields:
            continue
        stored = json.loads(fields["denial"])
        facts = stored.pop("facts")
        asked = sorted(name.removeprefix("asked:") for name in fields if name.startswith("asked:"))
        try:
            with observability.context(**facts):
                denial = Denial(**stored)
                _write(denial, {**denial.detail(count), "asked": asked[:ASKED_AT_MOST]})
        except (AuditUnavailable, DatabaseFault):
            _put_back(key, count, fields)
            raise
        written += 1
    return written


def _put_back(key: str, count: int, fields: dict[str, str]) -> None:
    """Beside what was counted meanwhile."""
    with redis_client().pipeline() as pipe:
        pipe.hincrby(key, "seen", count)
        for name, value in fields.items():
            if name not in {"seen", "recorded"}:
                pipe.hsetnx(key, name, value)
        pipe.expire(key, _KEPT_SECONDS)
        pipe.zadd(_OPEN, {key: 0}, nx=True)  # due at once
        pipe.execute()


def _count(key: str, denial: Denial, facts: observability.Context) -> int:
    stored = json.dumps({**asdict(denial), "facts": {name: getattr(facts, name) for name in _FACTS}})
    arguments = [WINDOW_SECONDS, stored, denial.asked, ASKED_AT_MOST, _KEPT_SECONDS]
    return int(str(redis_client().eval(_COUNT, 2, key, _OPEN, *map(str, arguments))))


def _confirm(key: str) -> None:
    """The first of its minute needs no counting any more."""
    redis_client().hincrby(key, "recorded", 1)


def _record(denial: Denial, count: int) -> bool:
    try:
        _write(denial, denial.detail(count))
    except (AuditUnavailable, DatabaseFault, OSError) as error:
        logger.warning("a denial will be recorded later: %s", error)
        return False
    return True


def _write(denial: Denial, detail: dict[str, Any]) -> None:
    target = (denial.kind, denial.asked) if denial.kind else None
    services.record(action=ACTION, outcome="refused", target=target, detail=detail)


def _plain(denial: Denial) -> Denial:
    """An address may hold anything that somebody typed: only what looks like an id stays."""
    asked = denial.asked if _PLAIN.fullmatch(denial.asked) else ""
    return Denial(denial.rule[:40], denial.status, denial.kind[:32], asked, denial.address[:64], denial.method[:8])


class _Local:
    """The same bound within this process, for while Redis is away."""

    _MOST = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[float, int]] = {}

    def due(self, key: str) -> int:
        """How many to record now; 0 when this minute has had its event."""
        now = time.monotonic()
        with self._lock:
            began, held = self._counts.pop(key, (float("-inf"), 0))
            if now - began < WINDOW_SECONDS:
                self._counts[key] = (began, held + 1)
                return 0
            self._counts[key] = (now, 0)
            while len(self._counts) > self._MOST:
                self._counts.pop(next(iter(self._counts)))
            return held + 1

    def put_back(self, key: str, count: int) -> None:
        with self._lock:
            began, held = self._counts.get(key, (time.monotonic(), 0))
            self._counts[key] = (began, held + count)


_local = _Local()
