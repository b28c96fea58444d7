"""A ceiling on calls per person. Exact quotas on questions are the chat services'."""

from __future__ import annotations

from rest_framework.throttling import UserRateThrottle


class PersonThrottle(UserRateThrottle):
    scope = "person"
