"""One document: its pages beside its text, versions, who can read it and why, and what curators do with it.

Thin: load and authorise, one domain call, render. A quotation is named in the address by its place in the page's text
(`from`, `to`), never by its words, so that no text of a document lies in a log of addresses.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant import collation
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, has_duty
from assistant.documents import policy, services
from assistant.documents.models import Document, Status
from assistant.errors import AuditUnavailable, Unavailable

from . import failures
from .forms import DocumentForm, MoveForm, RestrictForm, RevealForm, VersionForm
from .pages import acted, actor, form_page, off_the_loop, submitted

PICTURE_WIDTH = 1200
MOST_QUOTES = 20  # marked on one page


@require_safe
def document(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """The document as a thing: state, versions, access, where it was cited; its first page is one link away."""
    person = actor(request)
    row = policy.get_visible_document(person, document_id)
    state = services.state(actor=person, document=row, hidden=True)
    versions = _versions(row, state)
    context: dict[str, Any] = {
        "document": row,
        "state": state,
        "busy": state.status in {Status.QUEUED, Status.PROCESSING},
        "unreadable": failures.unreadable(state.error_code, state.error) if state.error_code or state.error else "",
        "versions": versions,
        "citations": row.citations.aggregate(times=Count("pk"), answers=Count("answer", distinct=True)),
        "readable": row.current_id is not None or state.manages,
        "pages": _page_count(row, state),
        "reviews": has_duty(person, Duty.REVIEW_AUDIT),
    }
    if state.manages:
        context["people"] = _reading(person, row)
    return render(request, "web/document.html", context)


@require_safe
def page(request: HttpRequest, document_id: UUID, number: int) -> HttpResponse:
    """A page: its picture with the quotation marked, and its text as it was understood."""
    person = actor(request)
    row = policy.get_visible_document(person, document_id)
    view = services.page(actor=person, document=row, number=number, version=_number(request, "version"))
    spans = _spans(request, view)
    drawn, not_drawn = _drawn(person, row, view, [view.text[start:end] for start, end in spans])
    context = {
        "document": row,
        "view": view,
        "picture": drawn,
        "not_drawn": not_drawn,
        "rectangles": _rectangles(drawn),
        "text": _parts(view.text, spans),
        "marked": bool(spans),
        "version": "" if view.current else str(view.version),
        "reveal_form": RevealForm() if view.reveals else None,
    }
    return render(request, "web/page.html", context)


@require_safe
def picture(request: HttpRequest, document_id: UUID, number: int) -> HttpResponse:
    """The page drawn. Private to this browser, and only for as long as somebody looks at it."""
    person = actor(request)
    row = policy.get_visible_document(person, document_id)
    drawn = services.page_picture(
        actor=person,
        document=row,
        number=number,
        version=_number(request, "version"),
        width=PICTURE_WIDTH,
        look=request.GET.get("look", ""),
    )
    response = HttpResponse(drawn.png, content_type="image/png")
    response["Cache-Control"] = "private, max-age=60"
    return response


@require_safe
def original(request: HttpRequest, document_id: UUID) -> StreamingHttpResponse:
    """The uploaded file, always as a download: nothing from outside runs on this address."""
    person = actor(request)
    row = policy.get_visible_document(person, document_id)
    file = services.open_original(actor=person, document=row, version=_number(request, "version"))
    response = FileResponse(
        file.file, as_attachment=True, filename=file.filename, content_type="application/octet-stream"
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return off_the_loop(request, response)


@require_http_methods(["GET", "HEAD", "POST"])
def details(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Title and validity; moving it to another collection."""
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    initial = {"title": row.title, "valid_from": row.valid_from, "valid_until": row.valid_until}
    form = DocumentForm(request.POST or None, initial=initial)
    if request.method == "POST":
        done, _ = submitted(form, lambda data: services.update_document(actor=person, document=row, **_new(data, row)))
        if done:
            messages.success(request, gettext("Saved."))
            return redirect("web:document", document_id=row.pk)
    return form_page(
        request, "web/document_details.html", form, {"document": row, "move_form": _move_form(person, row)}
    )


@require_POST
def move(request: HttpRequest, document_id: UUID) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    target = policy.get_managed_collection(person, request.POST.get("collection", ""))
    return acted(
        request,
        lambda: services.move(actor=person, document=row, collection=target),
        gettext("Moved to “%(collection)s”.") % {"collection": target.name},
        _place(row),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def new_version(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Another file for the same document; the present one answers until the new one has been read."""
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    form = VersionForm(request.POST or None, request.FILES or None)
    if request.method == "POST":
        done, result = submitted(
            form,
            lambda data: services.replace(actor=person, document=row, file=data["file"], filename=data["file"].name),
        )
        if done:
            _version, created = result
            if created:
                messages.success(request, gettext("The new version is being read. The present one answers until then."))
            else:
                messages.info(request, gettext("This is the same file as the newest version; nothing was changed."))
            return redirect(_place(row))
    return form_page(request, "web/document_version.html", form, {"document": row})


@require_POST
def retry(request: HttpRequest, document_id: UUID) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    words = gettext("The document is read again.")
    return acted(request, lambda: services.retry(actor=person, document=row), words, _place(row))


@require_POST
def cancel(request: HttpRequest, document_id: UUID) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    words = gettext("Reading was stopped.")
    return acted(request, lambda: services.cancel(actor=person, document=row), words, _place(row))


@require_POST
def release(request: HttpRequest, document_id: UUID) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    words = gettext("Released. The document answers as soon as it is in the index.")
    return acted(request, lambda: services.release(actor=person, document=row), words, _place(row))


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """First what will be erased, then erasing it: this cannot be undone."""
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    if request.method == "POST":
        receipt = services.delete(actor=person, document=row)
        messages.success(
            request,
            gettext(
                "“%(title)s” is deleted. Erased with it: versions %(versions)s, pages %(pages)s, passages %(chunks)s."
            )
            % {"title": row.title, **{name: receipt.get(name, 0) for name in ("versions", "pages", "chunks")}},
        )
        return redirect("web:collection", slug=row.collection.slug)
    context = {
        "document": row,
        "versions": row.versions.count(),
        "pages": row.versions.aggregate(count=Count("pages"))["count"],
        "passages": row.chunks.count(),
        "answers": row.answers.count(),
    }
    return render(request, "web/document_delete.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def access(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Who can read this document and why; restricting it to fewer people than its collection."""
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    form = RestrictForm(request.POST or None)
    if request.method == "POST":
        done, _ = submitted(
            form,
            lambda data: services.grant_document(
                actor=person, document=row, principal=data["principal"], access=data["access"]
            ),
        )
        if done:
            messages.success(request, gettext("Saved. Only those named here can read it, from the next question on."))
            return redirect("web:document-access", document_id=row.pk)
    context = {
        "document": row,
        "grants": services.document_grants(actor=person, document=row),
        "people": _reading(person, row),
    }
    return form_page(request, "web/document_access.html", form, context)


@require_POST
def revoke(request: HttpRequest, document_id: UUID, grant: str) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    return acted(
        request,
        lambda: services.revoke_document(actor=person, document=row, grant_id=grant),
        gettext("Access is taken away. It holds from the next question on."),
        reverse("web:document-access", args=[row.pk]),
    )


@require_POST
def reveal(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Turn one pseudonym back, with a reason that goes on record. The value is shown once, on a page of its own."""
    person = actor(request)
    row = policy.get_visible_document(person, document_id)
    form = RevealForm(request.POST)
    done, value = submitted(form, lambda data: services.reveal_pseudonym(actor=person, document=row, **data))
    return form_page(request, "web/revealed.html", form, {"document": row, "value": value if done else ""})


@require_POST
def unrestrict(request: HttpRequest, document_id: UUID) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_document(person, document_id)
    return acted(
        request,
        lambda: services.unrestrict_document(actor=person, document=row),
        gettext("The restriction is lifted. Whoever reads the collection can read this document."),
        reverse("web:document-access", args=[row.pk]),
    )


def _reading(person: User, row: Document) -> list[services.AccessLine]:
    return collation.ordered(services.access_report(actor=person, document=row), lambda line: line.person)


def _new(data: dict[str, Any], row: Document) -> dict[str, Any]:
    """Without a title that was left as it was shown: what is hidden in it must not be overwritten by its mask."""
    return {name: value for name, value in data.items() if name != "title" or value != row.title}


def _place(row: Document) -> str:
    return reverse("web:document", args=[row.pk])


def _number(request: HttpRequest, name: str) -> int | None:
    return _whole(request.GET.get(name, ""))


def _whole(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else None


def _spans(request: HttpRequest, view: services.PageView) -> list[tuple[int, int]]:
    """The marked stretches of the text as it is shown, in order and apart. The address names places in the page's own
    text, whatever of it is hidden; several quotations of one excerpt are several pairs of `from` and `to`."""
    pairs = zip(request.GET.getlist("from")[:MOST_QUOTES], request.GET.getlist("to"), strict=False)
    found: list[tuple[int, int]] = []
    for start, end in sorted({_span(view, _whole(begins), _whole(ends)) for begins, ends in pairs}):
        if end > start >= (found[-1][1] if found else 0):
            found.append((start, end))
    return found


def _span(view: services.PageView, start: int | None, end: int | None) -> tuple[int, int]:
    """(0, 0) when there is no such place."""
    if start is None or end is None or not 0 <= start < end:
        return 0, 0
    start, end = view.shown.here(start), view.shown.here(end, end=True)
    return (start, end) if end <= len(view.text) else (0, 0)


def _parts(text: str, spans: list[tuple[int, int]]) -> list[tuple[str, bool]]:
    """The text cut at the spans: (words, whether they are marked)."""
    parts, done = [], 0
    for start, end in spans:
        parts += [(text[done:start], False), (text[start:end], True)]
        done = end
    return [*parts, (text[done:], False)]


def _drawn(
    person: User, row: Document, view: services.PageView, quotes: list[str]
) -> tuple[services.Picture | None, str]:
    """The page's picture, or why there is none: the text is shown in any case."""
    if not view.has_picture:
        return None, ""
    try:
        return (
            services.page_picture(
                actor=person,
                document=row,
                number=view.number,
                version=view.version,
                width=PICTURE_WIDTH,
                quotes=quotes,
                look=view.look,
            ),
            "",
        )
    except AuditUnavailable:
        raise
    except Unavailable as error:
        return None, failures.error_detail(error)


def _rectangles(picture: services.Picture | None) -> list[dict[str, float]]:
    """The marked words' rectangles in the picture's own pixels."""
    if picture is None:
        return []
    return [
        {
            "x": round(x0 * picture.width, 1),
            "y": round(y0 * picture.height, 1),
            "width": round((x1 - x0) * picture.width, 1),
            "height": round((y1 - y0) * picture.height, 1),
        }
        for quote in picture.boxes
        for x0, y0, x1, y1 in quote
    ]


def _versions(row: Document, state: services.State) -> list[Any]:
    """Managers see every version; readers those that answer or once answered. Each with its `page_count`."""
    versions = list(row.versions.select_related("uploaded_by").annotate(page_count=Count("pages")))
    if state.withheld:
        for version in versions:  # these instances are shown and never saved
            version.filename = state.filename if version.number == state.version else ""
    return versions if state.manages else [version for version in versions if version.status == Status.READY]


def _page_count(row: Document, state: services.State) -> int:
    version = row.current or (row.latest if state.manages else None)
    return version.pages.count() if version else 0


def _move_form(person: User, row: Document) -> MoveForm | None:
    others = policy.managed_collections(person).exclude(pk=row.collection_id).values_list("slug", "name")
    return MoveForm(collections=collation.ordered(others, lambda other: other[1])) if others else None
