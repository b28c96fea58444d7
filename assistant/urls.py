"""The address space: which room answers where."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from assistant.api import problems
from assistant.web import errors as web_errors

_MACHINES = ("/api/", "/v1/")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """An address that leads nowhere: a problem document for machines, a page for people."""
    if request.path.startswith(_MACHINES):
        return problems.unknown_path(request, exception)
    return web_errors.page_not_found(request)


urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("assistant.accounts.urls")),
    path("", include("assistant.api.urls")),
    path("", include("assistant.api.health")),
    path("", include("assistant.web.urls")),
]
handler400 = "assistant.web.errors.bad_request"
handler403 = "assistant.web.errors.permission_denied"
handler404 = not_found
handler500 = "assistant.web.errors.server_error"
