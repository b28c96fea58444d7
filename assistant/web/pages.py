"""What the pages of this room share: a form that makes one domain call, small actions, filters kept in the address.

Knows: HTTP and forms. Does not know: any domain object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, cast
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django import forms
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from assistant import errors
from assistant.accounts.models import User

from . import failures

CHUNKS_AT_ONCE = 64
FIELDS = {
    "principal": "who",
    "unknown_principal": "who",
    "unknown_target": "target",
}  # the domain's name or code -> the form's field
REPAIRABLE = (errors.Invalid, errors.Conflict, errors.TooLarge, errors.Unsupported, errors.TooMany)


def actor(request: HttpRequest) -> User:
    """The signed-in person. Raises NotAuthenticated."""
    if not isinstance(request.user, User):
        raise errors.NotAuthenticated
    return request.user


def submitted(form: forms.Form, call: Callable[[dict[str, Any]], Any]) -> tuple[bool, Any]:
    """Validate and make the one domain call: (True, its result), or (False, None) with the reasons in the form.

    A refusal that the person can repair is put at its field; everything else rises.
    """
    if not form.is_valid():
        return False, None
    try:
        return True, call(form.cleaned_data)
    except (*REPAIRABLE, errors.NotFound) as error:
        if error.code == errors.NotFound.code:  # the page's own object is gone; a named one was only typed wrongly
            raise
        _explain(form, error)
        form.refusal = error  # type: ignore[attr-defined]
        return False, None


def _explain(form: forms.Form, error: errors.AssistantError) -> None:
    """Put the error's sentences where the person can repair them."""
    for name, sentences in error.fields.items():
        name = FIELDS.get(name, name)
        for sentence in sentences:
            form.add_error(name if name in form.fields else None, gettext(sentence))
    if not error.fields:
        field = FIELDS.get(error.code, "")
        form.add_error(field if field in form.fields else None, failures.error_detail(error))


def acted(request: HttpRequest, call: Callable[[], Any], done: str, to: str) -> HttpResponseRedirect:
    """One small action of a button: a message that says what happened, then back to the page it belongs to."""
    try:
        call()
    except REPAIRABLE as error:
        request.refusal = error  # type: ignore[attr-defined]
        messages.error(request, failures.error_detail(error))
    else:
        if done:
            messages.success(request, done)
    return redirect(to)


def form_page(
    request: HttpRequest, template: str, form: forms.Form, context: Mapping[str, Any] | None = None
) -> HttpResponse:
    """The page around a form; 400 when it came back with mistakes, so that tools notice too."""
    request.refusal = getattr(form, "refusal", None)  # type: ignore[attr-defined]
    return render(
        request, template, {"form": form, **(context or {})}, status=400 if form.is_bound and form.errors else 200
    )


def paged(request: HttpRequest, rows: QuerySet[Any] | list[Any], size: int = 50) -> Page[Any]:
    """The page of rows that `?page=` asks for; a wrong number is the nearest right one."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def address(request: HttpRequest, **changes: str | None) -> str:
    """This page's query with changes; empty values leave. "?" alone clears it."""
    query = {name: value for name, value in request.GET.items() if value}
    for name, value in changes.items():
        if value:
            query[name] = value
        else:
            query.pop(name, None)
    return f"?{urlencode(query)}" if query else "?"


def off_the_loop(request: HttpRequest, response: StreamingHttpResponse) -> StreamingHttpResponse:
    """The same stream, read in a thread when the server is asynchronous: a large file must not be read into memory
    first, nor hold up others."""
    if isinstance(request, ASGIRequest):
        response.streaming_content = _in_thread(iter(cast(Iterable[bytes], response.streaming_content)))
    return response


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while block := await sync_to_async(lambda: b"".join(islice(chunks, CHUNKS_AT_ONCE)))():
        yield block


def back(request: HttpRequest, fallback: str) -> str:
    """Where `next` points, if that is on this site."""
    target = request.POST.get("next", "")
    if target and url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return target
    return fallback
