"""Legal holds: what must be kept, placed by who manages people or reviews the log, lifted by both. Thin."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from assistant.chat import held
from assistant.documents import holds as domain

from .forms import HoldForm
from .pages import acted, actor, form_page, paged, submitted


@require_http_methods(["GET", "HEAD", "POST"])
def holds(request: HttpRequest) -> HttpResponse:
    """Every hold, newest first, with what this person can do about each; a POST places one."""
    person = actor(request)
    page = paged(request, domain.holds(actor=person))
    form = HoldForm(request.POST or None)
    if request.method == "POST":
        done, row = submitted(form, lambda data: domain.place(actor=person, **data))
        if done:
            messages.success(request, gettext("Hold %(number)s is in force.") % {"number": row.pk})
            return redirect("web:holds")
    rows = held.described(page, actor=person)
    return form_page(request, "web/holds.html", form, {"page": page, "rows": rows})


@require_POST
def ask_to_lift(request: HttpRequest, hold_id: int) -> HttpResponse:
    person, reason = actor(request), request.POST.get("reason", "")
    return acted(
        request,
        lambda: domain.ask_to_lift(actor=person, hold_id=hold_id, reason=reason),
        gettext("Asked. A reviewer of the audit log, another person, has to agree."),
        reverse("web:holds"),
    )


@require_POST
def lift(request: HttpRequest, hold_id: int) -> HttpResponse:
    person = actor(request)
    return acted(
        request,
        lambda: domain.lift(actor=person, hold_id=hold_id),
        gettext("The hold is lifted."),
        reverse("web:holds"),
    )
