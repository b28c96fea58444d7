"""The address space: which room answers where."""

from __future__ import annotations

from importlib.util import find_spec

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from assistant.api import problems

_MACHINES = ("/api/", "/v1/")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """An address that leads nowhere: a problem document for machines, a page for people."""
    if request.path.startswith(_MACHINES) or not _WEB:
        return problems.unknown_path(request, exception)
    from assistant.web import errors as web_errors

    return web_errors.page_not_found(request)


urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("assistant.accounts.urls")),
    path("", include("assistant.api.urls")),
    path("", include("assistant.api.health")),
]
handler404 = not_found
_WEB = find_spec("assistant.web.urls") is not None
if _WEB:
    urlpatterns.append(path("", include("assistant.web.urls")))
    handler500 = "assistant.web.errors.server_error"
    handler403 = "assistant.web.errors.permission_denied"
    handler400 = "assistant.web.errors.bad_request"
