"""The one handler of the HTML room: every expected failure becomes a page with its status, in one voice.

Knows: `assistant.errors` and HTTP. Does not know: what was attempted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import is_valid_path
from django.utils import translation
from django.utils.translation import gettext

from assistant import errors, observability

from . import failures

logger = logging.getLogger(__name__)
View = Callable[..., HttpResponseBase]


def page(request: HttpRequest, error: errors.AssistantError) -> HttpResponse:
    """The page of an error: what happened, what to do, the number to give to whom one asks."""
    request.refusal = error  # type: ignore[attr-defined]
    heading, advice = failures.error_page(error.status)
    detail = failures.error_detail(error) if error.detail != error.title else ""  # the heading says that already
    response = render(
        request,
        "web/error.html",
        {
            "status": error.status,
            "heading": heading,
            "advice": advice,
            "detail": detail if detail != heading else "",
            "request_id": observability.current().request_id,
        },
        status=error.status,
    )
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def guarded(view: View, *, public: bool = False) -> View:
    """A view of this room: asks to sign in first, and lets expected failures become pages."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not public and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        _speak(request)
        try:
            response = view(request, *args, **kwargs)
            return _led_back(request) if _only_for_forms(request, response) else response
        except errors.NotAuthenticated:
            return redirect_to_login(request.get_full_path())
        except errors.AssistantError as error:
            return page(request, error)
        except OperationalError:
            logger.exception("the database does not do its part")
            return page(request, errors.DatabaseUnavailable(retry_after=5))

    return wrapped


def _only_for_forms(request: HttpRequest, response: HttpResponseBase) -> bool:
    return response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method in ("GET", "HEAD")


def _led_back(request: HttpRequest) -> HttpResponse:
    """The address of a button was opened: reloaded, or come back to after signing in again. Nothing is done; the person
    gets to the nearest page above it. (Addresses end in a slash; the home page is above them all.)"""
    messages.info(request, gettext("Nothing was done. That address belongs to a button: press it again."))
    above = request.path
    while above != "/":
        above = above[: above.rstrip("/").rfind("/") + 1]
        if is_valid_path(above):
            break
    return redirect(above)


def _speak(request: HttpRequest) -> None:
    """The person's own language in a browser that has not been told one (`preferences` tells it)."""
    language = getattr(request.user, "language", "")
    if language and settings.LANGUAGE_COOKIE_NAME not in request.COOKIES:
        translation.activate(language)  # until LocaleMiddleware begins the next request
        request.LANGUAGE_CODE = language


def bad_request(request: HttpRequest, exception: SuspiciousOperation | None = None) -> HttpResponse:
    return page(request, errors.Invalid())


def permission_denied(request: HttpRequest, exception: PermissionDenied | None = None) -> HttpResponse:
    return page(request, errors.PermissionRefused())


def page_not_found(request: HttpRequest, exception: Http404 | None = None) -> HttpResponse:
    return page(request, errors.NotFound())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Named by CSRF_FAILURE_VIEW: a form that lay open longer than its session."""
    words = gettext("This form is out of date. Go back, reload, and send it again.")
    return page(request, errors.PermissionRefused(words, code="stale_form"))


def server_error(request: HttpRequest, error: errors.AssistantError) -> HttpResponse:
    """Must not fail itself: a page without database, session or context processors."""
    from django.template import loader

    heading, advice = failures.error_page(error.status)
    facts = {"heading": heading, "advice": advice, "request_id": observability.current().request_id}
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return HttpResponse(loader.get_template("500.html").render(facts), status=error.status, headers=headers)
