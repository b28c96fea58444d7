"""How allauth is to behave here: nobody signs up alone; people are created by an administrator; a door that is closed
after too many attempts is a denial on record."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from assistant import errors


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            request.refusal = errors.TooMany(code="too_many_attempts")  # type: ignore[attr-defined]
            raise
