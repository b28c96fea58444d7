"""Small shared pieces of parsing: validated bodies, numbers in queries, and their descriptions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from assistant.errors import Invalid

VISIBLE = r"[^\s\x00-\x20\x7f-\xa0]"  # at least one character that can be seen

NO_NULL = r"^[^\x00]*$"  # what every CharField refuses, said where the contract is read from


class Text(serializers.CharField):
    """A JSON string; numbers and truth values are not turned into one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Matching(serializers.RegexField):
    """A JSON string that matches a pattern."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Slug(Matching):
    """The slug of a collection."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[-a-zA-Z0-9_]+$", max_length=60, **kwargs)


@extend_schema_field({"type": "string", "format": "binary", "minLength": 1})
class Upload(serializers.FileField):
    """A file; that it is not empty is checked where it is received, with a code of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)


PAGING = [
    OpenApiParameter("cursor", str, description="From `next` or `previous`."),
    OpenApiParameter("page_size", {"type": "integer", "minimum": 1, "maximum": 200}),
]
VERSION = OpenApiParameter(
    "version", {"type": "integer", "minimum": 1, "maximum": 2147483647}, description="Else the one that answers now."
)


def valid(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def checked(serializer: serializers.Serializer[Any], data: Any) -> dict[str, Any]:
    """`valid`, by a serializer made once: a new one copies all its fields, which takes longer than to use them. For
    serializers that keep nothing about a request. Raises serializers.ValidationError."""
    return dict(serializer.run_validation(data))


def number_in(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 2**31):
        raise Invalid("The request is not valid.", fields={name: ["A whole number above zero."]})
    return int(text)
