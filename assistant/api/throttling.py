"""A ceiling on calls per person. Exact quotas on questions are the chat services'."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import redis
from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class PersonThrottle(UserRateThrottle):
    """Counted in Redis; while that is away calls go on, since reading documents does not need it."""

    scope = "person"

    def allow_request(self, request: Request, view: APIView) -> bool:
        try:
            return super().allow_request(request, view)
        except redis.RedisError as error:
            logger.warning("calls are not counted: %s", error)
            return True
