"""The audit log for auditors: a timeline, one event with its links, verification, export. Thin."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from assistant.accounts.roles import Duty, require

from .pages import actor


@require_safe
def timeline(request: HttpRequest) -> HttpResponse:
    require(actor(request), Duty.REVIEW_AUDIT)
    return HttpResponse()


event = verify = export = timeline
