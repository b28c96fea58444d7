"""The address space: which room answers where."""

from __future__ import annotations

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.account.urls")),
    path("", include("assistant.api.urls")),
    path("", include("assistant.api.health")),
]
if find_spec("assistant.web.urls"):
    urlpatterns.append(path("", include("assistant.web.urls")))
    handler404 = "assistant.web.errors.page_not_found"
    handler500 = "assistant.web.errors.server_error"
    handler403 = "assistant.web.errors.permission_denied"
    handler400 = "assistant.web.errors.bad_request"
