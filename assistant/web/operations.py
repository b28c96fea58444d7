"""Models and health, for who keeps the system running. Reads reports of other rooms; loads no model here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from assistant import health as report
from assistant.accounts.roles import Duty, require

from . import machinery
from .pages import actor


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """What is active and what is installed, with its recorded evaluation."""
    require(actor(request), Duty.MANAGE_MODELS)
    context = {"active": machinery.active_models(), "installed": machinery.installed_models()}
    return render(request, "web/models.html", context)


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Each part in words, and the numbers an operator asks for first."""
    require(actor(request), Duty.MANAGE_MODELS)
    found = report.report()
    parts = machinery.parts(found)
    context = {"parts": parts, "well": all(part.ok for part in found), "facts": machinery.facts(found)}
    return render(request, "web/health.html", context)
