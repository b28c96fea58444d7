"""Collections and what is in them: lists, uploads, who may read. Thin: load and authorise, one domain call, render."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, F, Max, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant import collation
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, has_duty, require
from assistant.documents import personal, policy, services
from assistant.documents.models import Access, Collection, Document, Scope, Status

from . import failures, wording
from .forms import CollectionDetailsForm, CollectionForm, GrantForm, UploadForm
from .pages import REPAIRABLE, acted, actor, form_page, paged, submitted

SORTS = ("title", "-title", "type", "updated", "-updated")
BY_DATABASE = {"updated": "updated_at", "-updated": "-updated_at"}  # the others need the sealed titles


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """The collections this person can see, each with its count, curators and readers in words."""
    person = actor(request)
    rows = policy.visible_collections(person).prefetch_related(
        Prefetch("scopes", Scope.objects.filter(key="").prefetch_related("grants__user", "grants__team"), "own")
    )
    counts = dict(policy.visible_documents(person).order_by().values_list("collection").annotate(count=Count("pk")))
    collections = [
        {"row": row, "count": counts.get(row.pk, 0), "readers": _readers(row), "curators": _curators(row)}
        for row in collation.ordered(rows, lambda row: row.name)
    ]
    may_create = has_duty(person, Duty.MANAGE_DOCUMENTS)
    return render(request, "web/library.html", {"collections": collections, "may_create": may_create})


@require_http_methods(["GET", "HEAD", "POST"])
def new_collection(request: HttpRequest) -> HttpResponse:
    person = actor(request)
    require(person, Duty.MANAGE_DOCUMENTS)
    form = CollectionForm(request.POST or None)
    if request.method == "POST":
        done, row = submitted(form, lambda data: services.create_collection(actor=person, **data))
        if done:
            messages.success(request, gettext("The collection is there. Nobody can read it until you give access."))
            return redirect("web:collection-access", slug=row.slug)
    return form_page(request, "web/collection_new.html", form)


@require_safe
def collection(request: HttpRequest, slug: str) -> HttpResponse:
    """The documents of a collection: filtered, sorted, page by page."""
    person = actor(request)
    row = policy.get_visible_collection(person, slug)
    rows = services.documents(actor=person, collection=slug)
    words, status = request.GET.get("q", "").strip(), request.GET.get("state", "")
    if status in Status.values:
        rows = _in_state(rows, status)
    sort = request.GET.get("sort", "")
    sort = sort if sort in SORTS else "title"
    if words or sort not in BY_DATABASE:
        page = paged(request, services.arranged(actor=person, rows=rows, words=words, by=sort))
        found = rows.in_bulk(list(page.object_list))
        shown = [found[key] for key in page.object_list if key in found]
    else:
        page = paged(request, rows.order_by(BY_DATABASE[sort], "pk"))
        shown = list(page.object_list)
    documents = services.states(actor=person, documents=shown)
    context = {
        "collection": row,
        "page": page,
        "documents": documents,
        "busy": any(state.status in {Status.QUEUED, Status.PROCESSING} for _, state in documents),
        "words": words,
        "status": status,
        "sort": sort,
        "statuses": _state_choices(),
        "filtered": bool(words or status),
        "manages": policy.managed_collections(person).filter(pk=row.pk).exists(),
        "grants_here": policy.grantable_collections(person).filter(pk=row.pk).exists(),
        "guards_here": has_duty(person, Duty.MANAGE_PRIVACY),
        "readers": _readers(row),
        "curators": _curators(row),
        "form": UploadForm(),
    }
    return render(request, "web/collection.html", context)


@require_POST
def upload(request: HttpRequest, slug: str) -> HttpResponse:
    """Files from the form (without script; with it, each goes through the API and shows its progress)."""
    person = actor(request)
    row = policy.get_managed_collection(person, slug)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, gettext("Choose at least one file."))
        return redirect("web:collection", slug=slug)
    taken = 0
    for file in form.cleaned_data["file"]:
        taken += _take(request, person, row, file)
    if taken:
        words = ngettext(
            "%(count)d file was received. It is being read.",
            "%(count)d files were received. They are being read.",
            taken,
        )
        messages.success(request, words % {"count": taken})
    return redirect("web:collection", slug=slug)


@require_POST
def bulk(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete or read again what was ticked. Deleting asks once more, since it cannot be undone."""
    person = actor(request)
    row = policy.get_managed_collection(person, slug)
    chosen = list(policy.managed_documents(person).filter(collection=row, pk__in=_ids(request)))
    personal.veil(person, chosen)
    action = request.POST.get("action", "")
    if not chosen:
        messages.error(request, gettext("Tick at least one document."))
    elif action == "retry":
        failed = [document for document in chosen if document.latest.status == Status.FAILED]
        for document in failed:
            services.retry(actor=person, document=document)
        words = ngettext("%(count)d document is read again.", "%(count)d documents are read again.", len(failed))
        messages.success(request, words % {"count": len(failed)})
    elif action == "delete" and request.POST.get("sure") != "yes":
        return render(request, "web/bulk_delete.html", {"collection": row, "documents": chosen})
    elif action == "delete":
        for document in chosen:
            services.delete(actor=person, document=document)
        words = ngettext("%(count)d document was deleted.", "%(count)d documents were deleted.", len(chosen))
        messages.success(request, words % {"count": len(chosen)})
    return redirect("web:collection", slug=slug)


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Name and description, and removal of an empty collection."""
    person = actor(request)
    row = policy.get_managed_collection(person, slug)
    form = CollectionDetailsForm(request.POST or None, initial={"name": row.name, "description": row.description})
    if request.method == "POST":
        done, _ = submitted(form, lambda data: services.update_collection(actor=person, collection=row, **data))
        if done:
            messages.success(request, gettext("Saved."))
            return redirect("web:collection", slug=slug)
    context = {"collection": row, "may_delete": has_duty(person, Duty.MANAGE_DOCUMENTS), "count": row.documents.count()}
    return form_page(request, "web/collection_settings.html", form, context)


@require_POST
def delete_collection(request: HttpRequest, slug: str) -> HttpResponse:
    person = actor(request)
    row = policy.get_managed_collection(person, slug)
    try:
        services.delete_collection(actor=person, collection=row)
    except REPAIRABLE as error:
        messages.error(request, failures.error_detail(error))
        return redirect("web:collection-settings", slug=slug)
    messages.success(request, gettext("The collection “%(name)s” is deleted.") % {"name": row.name})
    return redirect("web:library")


@require_http_methods(["GET", "HEAD", "POST"])
def access(request: HttpRequest, slug: str) -> HttpResponse:
    """Who may read and curate a collection, why, and giving access."""
    person = actor(request)
    row = policy.get_grantable_collection(person, slug)
    form = GrantForm(request.POST or None)
    if request.method == "POST":
        done, _ = submitted(
            form,
            lambda data: services.grant_collection(
                actor=person, collection=row, principal=data["principal"], access=data["access"]
            ),
        )
        if done:
            messages.success(request, gettext("Access is given. It holds from the next question on."))
            return redirect("web:collection-access", slug=slug)
    context = {
        "collection": row,
        "grants": services.collection_grants(actor=person, collection=row),
        "people": collation.ordered(services.access_report(actor=person, collection=row), lambda line: line.person),
    }
    return form_page(request, "web/collection_access.html", form, context)


@require_POST
def revoke(request: HttpRequest, slug: str, grant: str) -> HttpResponse:
    person = actor(request)
    row = policy.get_grantable_collection(person, slug)
    return acted(
        request,
        lambda: services.revoke_collection(actor=person, collection=row, grant_id=grant),
        gettext("Access is taken away. It holds from the next question on."),
        reverse("web:collection-access", args=[slug]),
    )


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Passages instead of an answer: what fits the words, from what this person can read."""
    person = actor(request)
    words = request.GET.get("q", "").strip()
    results = services.search(actor=person, query=words, limit=20) if words else []
    names = dict(policy.visible_collections(person).values_list("slug", "name")) if results else {}
    return render(request, "web/search.html", {"words": words, "results": results, "names": names})


def curators(rows: QuerySet[Collection]) -> list[str]:
    """The names of all curators of these collections, each once."""
    return collation.ordered({name for row in rows for name in _curators(row)})


def _take(request: HttpRequest, person: User, row: Collection, file: Any) -> bool:
    try:
        _document, created = services.upload(actor=person, collection=row, file=file, filename=file.name)
    except REPAIRABLE as error:
        values = {"name": file.name, "reason": failures.error_detail(error)}
        messages.error(request, gettext("%(name)s: %(reason)s") % values)
        return False
    if not created:
        messages.info(request, gettext("“%(name)s” is already in this collection.") % {"name": file.name})
    return created


def _ids(request: HttpRequest) -> list[str]:
    """Ticked ids that have the shape of one."""
    return [value for value in request.POST.getlist("document") if len(value) == 36 and value.count("-") == 4]


def _own_grants(row: Collection) -> list[Any]:
    scopes = getattr(row, "own", None)
    if scopes is None:
        scopes = row.scopes.filter(key="").prefetch_related("grants__user", "grants__team")
    return [grant for scope in scopes for grant in scope.grants.all()]


def _readers(row: Collection) -> str:
    return wording.readers(_own_grants(row))


def _curators(row: Collection) -> list[str]:
    return [
        str(grant.team or grant.user or gettext("Everyone"))
        for grant in _own_grants(row)
        if grant.access == Access.CURATOR
    ]


def _state_choices() -> list[tuple[str, str]]:
    return [
        (Status.READY.value, gettext("Ready")),
        (Status.PROCESSING.value, gettext("Being read")),
        (Status.QUEUED.value, gettext("Waiting to be read")),
        (Status.QUARANTINED.value, gettext("Held for a curator")),
        (Status.FAILED.value, gettext("Could not be read")),
    ]


def _in_state(rows: QuerySet[Document], status: str) -> QuerySet[Document]:
    newest = rows.annotate(newest=Max("versions__number")).filter(versions__number=F("newest"))
    return rows.filter(pk__in=newest.filter(versions__status=status).order_by().values("pk"))
