"""Small shared pieces of parsing: validated bodies, numbers in queries, and their descriptions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from assistant.errors import Invalid

VISIBLE = r"\S"  # at least one character that can be seen
PAGING = [
    OpenApiParameter("cursor", str, description="From `next` or `previous`."),
    OpenApiParameter("page_size", {"type": "integer", "minimum": 1, "maximum": 200}),
]
VERSION = OpenApiParameter("version", {"type": "integer", "minimum": 1}, description="Else the one that answers now.")


def valid(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def number_in(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 2**31):
        raise Invalid("The request is not valid.", fields={name: ["A whole number above zero."]})
    return int(text)
