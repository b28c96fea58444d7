"""A ceiling on calls per person and per token. How many questions may wait, and how many a day, `chat.limits` says."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from rest_framework.throttling import BaseThrottle

from assistant import rates
from assistant.accounts.models import ApiToken

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class PersonThrottle(BaseThrottle):
    """Counted in Redis, exactly; while that is away calls go on, since reading documents does not need it.

    A person's calls count together, whatever session or token they come with; a token's calls also by themselves.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        self._wait = 0.0
        if request.user is None or not request.user.is_authenticated:
            return True  # refused elsewhere
        limits = [(f"person:{request.user.pk}", _rate(settings.API_RATE))]
        if isinstance(request.auth, ApiToken):
            limits.append((f"token:{request.auth.pk}", _rate(settings.TOKEN_RATE)))
        try:
            self._wait = rates.count([(name, rate) for name, rate in limits if rate is not None])
        except redis.RedisError as error:
            logger.warning("calls are not counted: %s", error)
        return self._wait == 0

    def wait(self) -> float:
        return self._wait


@lru_cache
def _rate(text: str) -> rates.Rate | None:
    return rates.parse(text)
