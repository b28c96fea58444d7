"""Every failed REST call leaves as problem+json (RFC 9457). Knows: exceptions and HTTP. Does not know: the domain."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from assistant import errors

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
_TITLES: dict[type[Exception], str] = {
    exceptions.MethodNotAllowed: "This address does not take this method",
    exceptions.UnsupportedMediaType: "This kind of content is not read here",
    exceptions.NotAcceptable: "There is nothing of the kind that is accepted",
    exceptions.ParseError: "The request cannot be read",
}


def translate(error: Exception) -> errors.AssistantError | None:
    """The product's error for a framework exception; None for a fault that must stay a fault."""
    if isinstance(error, errors.AssistantError):
        return error
    if isinstance(error, Http404):
        return errors.NotFound()
    if isinstance(error, PermissionDenied | exceptions.PermissionDenied):
        return errors.PermissionRefused(str(error) or "")
    if isinstance(error, exceptions.AuthenticationFailed):
        return errors.NotAuthenticated(
            "This token is not known here, was revoked or has expired. Make a new one on the page “API tokens”."
        )
    if isinstance(error, exceptions.NotAuthenticated):
        return errors.NotAuthenticated("Send a session cookie or “Authorization: Bearer TOKEN”.")
    if isinstance(error, exceptions.ValidationError):
        return errors.Invalid("Some fields are not valid.", fields=_fields(error.detail))
    if isinstance(error, exceptions.Throttled):
        wait = int(getattr(error, "wait", None) or 1) + 1
        return errors.TooMany(f"Try again in {wait} seconds.", retry_after=wait)
    if isinstance(error, exceptions.APIException):
        translated = errors.AssistantError(str(error.detail), code=str(error.default_code))
        translated.status = error.status_code
        translated.title = _TITLES.get(type(error), str(error.default_detail))
        return translated
    if isinstance(error, OperationalError):
        logger.error("the database does not do its part", exc_info=error)
        return errors.DatabaseUnavailable(retry_after=5)
    return None


def body(error: errors.AssistantError) -> dict[str, Any]:
    """The problem document. Absent and forbidden objects give the same one."""
    problem: dict[str, Any] = {
        "type": f"about:blank#{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }
    if error.fields:
        problem["fields"] = error.fields
    if error.retry_after is not None:
        problem["retry_after"] = error.retry_after
    return problem


def headers(error: errors.AssistantError) -> dict[str, str]:
    found = {}
    if error.retry_after is not None:
        found["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        found["WWW-Authenticate"] = 'Bearer realm="assistant"'
    return found


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None lets a fault become a logged 500."""
    translated = translate(error)
    if translated is None:
        return None
    set_rollback()
    request, view = context["request"], context["view"]
    request._request.refusal = translated
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), CONTENT_TYPE  # whatever else is shown here
    allow = {}
    if isinstance(error, exceptions.MethodNotAllowed):
        allow["Allow"] = ", ".join(view.allowed_methods)
        translated.detail = f"Use {allow['Allow']}."
    elif isinstance(error, exceptions.UnsupportedMediaType):
        translated.detail = f"Send {' or '.join(parser.media_type for parser in view.get_parsers())}."
    return Response(
        body(translated), status=translated.status, headers={**headers(translated), **allow}, content_type=CONTENT_TYPE
    )


def response(error: errors.AssistantError) -> JsonResponse:
    """The same document outside DRF (async views, middleware)."""
    return JsonResponse(body(error), status=error.status, headers=headers(error), content_type=CONTENT_TYPE)


def unknown_path(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return response(errors.NotFound())


def _fields(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for name, value in detail.items():
            found.update(_fields(value, f"{prefix}.{name}" if prefix else str(name)))
        return found
    if isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        found = {}
        for number, value in enumerate(detail):
            found.update(_fields(value, f"{prefix}[{number}]"))
        return found
    return {prefix or "non_field_errors": [str(item) for item in detail] if isinstance(detail, list) else [str(detail)]}
