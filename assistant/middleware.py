"""Sets the acting context of a request. Knows HTTP; does not know what the request does."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from assistant import observability


class ContextMiddleware:
    """Every request gets an id (echoed as X-Request-ID); the signed-in user and session enter the context."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if iscoroutinefunction(self.get_response):
            return self._acall(request)
        request_id = observability.new_request_id()
        with observability.context(request_id=request_id, **self._facts(request)):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        from asgiref.sync import sync_to_async

        request_id = observability.new_request_id()
        facts = await sync_to_async(self._facts)(request)
        with observability.context(request_id=request_id, **facts):
            response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        response["X-Request-ID"] = request_id
        return response

    @staticmethod
    def _facts(request: HttpRequest) -> dict[str, str]:
        facts = {"origin": request.META.get("REMOTE_ADDR", "")}
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            facts["actor"] = f"user:{user.pk}"
            facts["role"] = user.role
            if key := request.session.session_key:
                facts["session"] = hashlib.sha256(key.encode()).hexdigest()[:16]
        return facts
