"""REST addresses. Each module of this room brings its own list."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

# TODO(main): plain imports once all modules exist
_rooms = ("accounts", "audit", "chat", "collections", "documents", "pages", "search")
_modules = [name for name in _rooms if find_spec(f"assistant.api.{name}")]

v1: list[URLPattern | URLResolver] = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]
for _name in _modules:
    v1 += import_module(f"assistant.api.{_name}").urlpatterns

urlpatterns: list[URLPattern | URLResolver] = [path("api/v1/", include(v1))]
if find_spec("assistant.api.openai"):
    urlpatterns.append(path("v1/", include("assistant.api.openai")))
