"""Models and health, for who keeps the system running. Reads reports of other rooms; loads no model here."""

from __future__ import annotations

from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from assistant import health as report
from assistant.accounts.roles import Duty, require
from assistant.quality import administering
from assistant.registry import activation, benchmarking, importing

from . import machinery, modelling
from .pages import acted, actor


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """What is active and what is installed."""
    require(actor(request), Duty.MANAGE_MODELS)
    context = {
        "active": (active := modelling.active_models()),
        "loading": any(row.state == "chosen" for row in active),
        "installed": modelling.installed_models(),
        "jobs": (jobs := modelling.jobs()),
        "busy": any(job.state in ("queued", "running") for job in jobs),
        "recipes": modelling.recipes(),
        "speeds": modelling.speeds(),
        "dropped": importing.dropped(),
        "drop_folder": importing.folder(),
        "quotations": not activation.active_name(),
        "quality_url": reverse("web:quality"),
    }
    return render(request, "web/models.html", context)


@require_POST
def activate(request: HttpRequest) -> HttpResponse:
    """Let an installed model write the answers, after every one of its files was checked."""
    person = actor(request)
    name, reason = (request.POST.get(field, "") for field in ("name", "reason"))
    words = gettext("“%(name)s” is chosen. It answers as soon as the workers have loaded it.") % {"name": name}
    return acted(request, lambda: administering.activate(person, name, reason=reason), words, reverse("web:models"))


@require_POST
def deactivate(request: HttpRequest) -> HttpResponse:
    """Back to quotations."""
    person = actor(request)
    words = gettext("Answers are quotations again.")
    return acted(request, lambda: administering.quotations(person), words, reverse("web:models"))


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Check an installed model's files now."""
    person = actor(request)
    name = request.POST.get("name", "")
    words = gettext("Every file of “%(name)s” is as it was imported.") % {"name": name}
    return acted(request, lambda: administering.verify(person, name), words, reverse("web:models"))


@require_POST
def bring_in(request: HttpRequest) -> HttpResponse:
    """Have what lies in the drop folder imported; a worker does it."""
    person = actor(request)
    given = {field: request.POST.get(field, "") for field in ("entry", "name", "licence", "revision", "base")}
    words = gettext("“%(name)s” is being imported. It is installed when every file was checked.") % given
    call = partial(administering.bring_in, person, **given)
    return acted(request, call, words, reverse("web:models"))


@require_POST
def evaluate(request: HttpRequest) -> HttpResponse:
    """Have the golden set asked of an installed model; a worker does it."""
    person = actor(request)
    name = request.POST.get("name", "")
    words = gettext("“%(name)s” is being evaluated against the golden set.") % {"name": name}
    return acted(request, lambda: administering.evaluate(person, name), words, reverse("web:models"))


@require_POST
def quantize(request: HttpRequest) -> HttpResponse:
    """Have a smaller copy of a model made and measured; a worker does it."""
    person = actor(request)
    name, recipe = (request.POST.get(field, "") for field in ("name", "recipe"))
    words = gettext("A copy of “%(name)s” is being made. It is installed when it passes its measurement.")
    call = partial(administering.quantize, person, name, recipe=recipe)
    return acted(request, call, words % {"name": name}, reverse("web:models"))


@require_POST
def benchmark(request: HttpRequest) -> HttpResponse:
    """Have an installed model's speed measured; a worker does it."""
    person = actor(request)
    name, users, tokens, against = (request.POST.get(field, "") for field in ("name", "users", "tokens", "against"))
    words = gettext("The speed of “%(name)s” is being measured.") % {"name": name}

    def measure() -> None:
        counts, length = benchmarking.users_in(users), benchmarking.users_in(tokens)[0]
        administering.benchmark(person, name, users=counts, tokens=length, against=against)

    return acted(request, measure, words, reverse("web:models"))


@require_POST
def stop(request: HttpRequest, number: int) -> HttpResponse:
    """Stop work that goes on."""
    person = actor(request)
    return acted(request, lambda: administering.stop(person, number), gettext("Stopped."), reverse("web:models"))


@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Take a model that does not answer off the disk."""
    person = actor(request)
    name = request.POST.get("name", "")
    words = gettext("“%(name)s” was removed from this machine.") % {"name": name}
    return acted(request, lambda: administering.remove(person, name), words, reverse("web:models"))


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Each part in words, and the numbers an operator asks for first."""
    require(actor(request), Duty.MANAGE_MODELS)
    found = report.report()
    parts = machinery.parts(found)
    context = {
        "parts": parts,
        "well": all(part.ok for part in found),
        "facts": machinery.facts(found),
        "proofs": machinery.proofs(),
    }
    return render(request, "web/health.html", context)
