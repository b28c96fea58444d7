"""Personal data for those who answer for it: policies, the customer's own words, the map of the corpus.

Thin: load and authorise, one domain call, render. Counts only; no value of a document is on these pages.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from assistant import collation
from assistant.accounts.roles import Duty, Role, has_duty, require
from assistant.documents import policy, services

from .forms import DictionaryForm, PrivacyForm
from .pages import actor, form_page, paged, submitted
from .wording import PERSONAL_DATA_WORDS


@require_http_methods(["GET", "HEAD", "POST"])
def collection(request: HttpRequest, slug: str) -> HttpResponse:
    """How personal data of one collection is shown, by role."""
    person = actor(request)
    require(person, Duty.MANAGE_PRIVACY)
    row = policy.get_grantable_collection(person, slug)
    found = services.personal_data_policy(actor=person, collection=row)
    initial = {
        **{f"role_{role}": found.treatments.get(role, "refuse") for role in Role.values},
        "types": found.types,
        "disguise": found.disguise,
        "reveal": found.reveal,
    }
    form = PrivacyForm(request.POST or None, initial=initial, classes=_classes())
    if request.method == "POST":
        done, _ = submitted(
            form, lambda _: services.set_personal_data_policy(actor=person, collection=row, **form.policy())
        )
        if done:
            messages.success(request, gettext("Saved. It holds from the next request on."))
            return redirect("web:collection-privacy", slug=slug)
    roles = [form[f"role_{role}"] for role in Role.values]
    return form_page(request, "web/privacy_collection.html", form, {"collection": row, "roles": roles})


@require_safe
def corpus(request: HttpRequest) -> HttpResponse:
    """How many values of which class lie in which collection and document."""
    person = actor(request)
    slug, kind = _filters(request)
    found = services.personal_data_map(actor=person, collection=slug, kind=kind)
    everything = found if not (slug or kind) else services.personal_data_map(actor=person)
    names = {each.slug: each.name for each in collation.ordered(everything.collections, lambda each: each.name)}
    context = {
        "map": found,
        "page": paged(request, list(found.documents)),
        "slug": slug,
        "kind": kind,
        "names": names,
        "classes": _classes(),
        "manages": has_duty(person, Duty.MANAGE_PRIVACY),
    }
    return form_page(request, "web/privacy_map.html", DictionaryForm(), context)


@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """The map's documents as CSV, with the same filters."""
    slug, kind = _filters(request)
    text = services.export_personal_data_map(actor=actor(request), collection=slug, kind=kind)
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="personal-data.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def dictionary(request: HttpRequest) -> HttpResponse:
    """The customer's own words that count as personal data."""
    person = actor(request)
    terms = services.personal_data_dictionary(actor=person)
    lines = "\n".join(f"{kind}: {term}" for kind, words in sorted(terms.items()) for term in words)
    form = DictionaryForm(request.POST or None, initial={"terms": lines})
    if request.method == "POST":
        done, _ = submitted(form, lambda data: services.set_personal_data_dictionary(actor=person, terms=data["terms"]))
        if done:
            messages.success(request, gettext("Saved. The map is counted anew in the background."))
            return redirect("web:personal-data-dictionary")
    return form_page(request, "web/privacy_dictionary.html", form)


def _classes() -> list[tuple[str, str]]:
    return [(name, str(PERSONAL_DATA_WORDS.get(name, name))) for name in services.personal_data_classes()]


def _filters(request: HttpRequest) -> tuple[str, str]:
    return request.GET.get("collection", "")[:60], request.GET.get("class", "")[:20]
