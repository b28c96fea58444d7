"""REST addresses. Each module of this room brings its own list."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from . import (
    accounts,
    audit,
    chat,
    collections,
    documents,
    holds,
    models,
    openai,
    pages,
    permits,
    privacy,
    quality,
    reviewing,
    search,
)

v1: list[URLPattern | URLResolver] = [path("schema/", SpectacularAPIView.as_view(), name="schema")]
for _room in (  # looked through in this order with every call: what is called most stands in front
    search,
    chat,
    documents,
    collections,
    pages,
    accounts,
    audit,
    holds,
    permits,
    privacy,
    quality,
    models,
    reviewing,
):
    v1 += _room.urlpatterns

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(v1)),
    path("v1/", include(openai)),
]
