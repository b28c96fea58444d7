"""The address space: which room answers where."""

from django.urls import path

urlpatterns: list[path] = []  # type: ignore[valid-type]
