"""The address space: which room answers where."""

from __future__ import annotations

import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from assistant import errors
from assistant.api import problems
from assistant.web import errors as web_errors

_MACHINES = ("/api/", "/v1/")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """An address that leads nowhere: a problem document for machines, a page for people."""
    if request.path.startswith(_MACHINES):
        return problems.unknown_path(request, exception)
    return web_errors.page_not_found(request)


def fault(request: HttpRequest) -> HttpResponse:
    """What no view expected: a 500, or a 503 when it was the database, which will be back."""
    known = isinstance(sys.exception(), OperationalError)
    error = errors.DatabaseUnavailable(retry_after=5) if known else errors.AssistantError()
    if request.path.startswith(_MACHINES):
        return problems.response(error)
    return web_errors.server_error(request, error)


urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("assistant.accounts.urls")),
    path("", include("assistant.api.urls")),
    path("", include("assistant.api.health")),
    path("", include("assistant.web.urls")),
]
handler400 = "assistant.web.errors.bad_request"
handler403 = "assistant.web.errors.permission_denied"
handler404 = not_found
handler500 = fault
