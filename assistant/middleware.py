"""Sets the acting context of a request, and puts on record that somebody was turned away. Knows HTTP; does not know
what the request does.

Every answer of the product leaves through here, so a denial cannot be forgotten by a view: the handlers of REST, pages
and sign-in say which error it was (`request.refusal`), and where nobody says it, the status does. An address that leads
nowhere names nothing to be turned away from, and being asked to sign in is an invitation: neither is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from asgiref.sync import async_to_sync
from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.decorators import sync_only_middleware
from servestatic.middleware import ServeStaticMiddleware

from assistant import errors, observability
from assistant.audit import coverage, denials

_BY_STATUS: dict[int, type[errors.AssistantError]] = {
    kind.status: kind for kind in (errors.NotAuthenticated, errors.PermissionRefused, errors.NotFound, errors.TooMany)
}


class ContextMiddleware:
    """Every request gets an id (echoed as X-Request-ID); the signed-in user and session enter the context."""

    sync_capable = True
    async_capable = False  # nothing in here is awaited (`asgi.Handler`)

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = observability.new_request_id()
        with observability.context(request_id=request_id, **self._facts(request)):
            response = self.get_response(request)
            if denial := denied(request, response):
                denials.note(denial)
        response["X-Request-ID"] = request_id
        return response

    @staticmethod
    def _facts(request: HttpRequest) -> dict[str, str]:
        facts = {"origin": request.META.get("REMOTE_ADDR", "")}
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            facts["actor"] = f"user:{user.pk}"
            facts["role"] = user.role
            if key := request.session.session_key:
                facts["session"] = hashlib.sha256(key.encode()).hexdigest()[:16]
        return facts


def denied(request: HttpRequest, response: HttpResponse) -> denials.Denial | None:
    """What to put on record about this response; None when nobody was turned away."""
    found = request.resolver_match
    if found is None:
        return None
    error = getattr(request, "refusal", None)
    if error is None and response.status_code in _BY_STATUS:
        error = _BY_STATUS[response.status_code]()
    if error is None or not error.denial:
        return None
    if isinstance(error, errors.NotFound) and error.code != errors.NotFound.code:
        return None  # a name inside what was sent leads nowhere: it was mistyped
    return denials.Denial(
        rule=error.code,
        status=error.status,
        kind=coverage.kind(found.view_name),
        asked=str(next(iter(found.kwargs.values()), "")),
        address=found.view_name,
        method=request.method or "",
    )


class _WithSlash(HttpResponsePermanentRedirect):
    """To the address with its slash, by the same method with the same body: 301 makes a GET of a POST."""

    status_code = 308

    def __init__(self, redirect_to: str) -> None:
        words = f"This address ends with a slash: {redirect_to}\n"
        super().__init__(redirect_to, content=words, content_type="text/plain; charset=utf-8")


class SlashMiddleware(CommonMiddleware):
    """Django's, but for how it leads to an address whose slash was left out."""

    response_redirect_class = _WithSlash


@sync_only_middleware
def content_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """What a browser may load and run. No page has a policy of its own, so that it is put together once; django-csp's
    middleware does it twice a response."""
    policy = build_policy()

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault(HEADER, policy)
        return response

    return middleware


@sync_only_middleware
def static_files(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Servestatic's files where a static address is asked for. Its own middleware would send every request through the
    event loop once more."""
    serve = async_to_sync(ServeStaticMiddleware(_no_file))
    prefix = f"/{settings.STATIC_URL.lstrip('/')}"

    def middleware(request: HttpRequest) -> HttpResponse:
        found: HttpResponse | None = serve(request) if request.path_info.startswith(prefix) else None
        return get_response(request) if found is None else found

    return middleware


async def _no_file(request: HttpRequest) -> None:
    return None
