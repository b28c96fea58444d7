"""The audit log for auditors: a timeline, one event with its links in the chain, verification, export. Thin."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import groupby

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from assistant.accounts import review
from assistant.audit.catalogue import OUTCOMES
from assistant.audit.reading import Filters
from assistant.chat import replay_requests
from assistant.documents import policy

from . import review_words, wording
from .forms import AuditFilterForm
from .pages import actor, off_the_loop, paged

PAGE = 100
EXTENSIONS = {"jsonl": "jsonl", "csv": "csv", "cef": "cef.txt"}


@require_safe
def timeline(request: HttpRequest) -> HttpResponse:
    """What happened, newest first, by day; the filters are in the address."""
    person = actor(request)
    form = AuditFilterForm(request.GET)
    found = review.events(actor=person, filters=_filters(form))
    page = paged(request, found, PAGE)
    names = review.names(page.object_list)
    titles = policy.titles(person, [event.target_id for event in page if event.target_type == "document"])
    days = [
        (
            day,
            [
                {
                    "event": event,
                    "who": names.get(event.actor, event.actor),
                    "title": titles.get(event.target_id, ""),
                }
                for event in group
            ],
        )
        for day, group in groupby(page, key=lambda event: wording.day(event.at))
    ]
    context = {
        "form": form,
        "page": page,
        "days": days,
        "actions": wording.action_choices(),
        "outcomes": [(outcome, wording.outcome_words(outcome)["words"]) for outcome in OUTCOMES],
        "filtered": any(form.data.get(name) for name in form.fields),
        "formats": list(review.FORMATS),
        "saved": review.saved(actor=person),
        "query": request.GET.urlencode(),
    }
    return render(request, "web/audit.html", context, status=400 if form.errors else 200)


@require_safe
def event(request: HttpRequest, seq: int) -> HttpResponse:
    """One event with what comes before and after it in the chain, and what happened in the same request."""
    person = actor(request)
    found = review.event(actor=person, seq=seq)
    row = found.event
    names = review.names([row])
    titles = policy.titles(person, [row.target_id]) if row.target_type == "document" else {}
    context = {
        "event": row,
        "who": names.get(row.actor, row.actor),
        "whom": titles.get(row.target_id, "") or names.get(f"{row.target_type}:{row.target_id}", ""),
        "before": found.before,
        "after": found.after,
        "same_request": found.same_request,
        "detail": [(name, review_words.detail(value)) for name, value in sorted(row.detail.items())],
        "replays": row.target_type == "answer" and row.action in replay_requests.ENDS and row.outcome != "intent",
    }
    return render(request, "web/audit_event.html", context)


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Walk the whole log now, and say what holds."""
    report = review.verify(actor=actor(request))
    return render(request, "web/audit_verified.html", {"report": report})


@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """The filtered events as a file; without a filter, JSON lines are the whole log that anybody can verify."""
    form = AuditFilterForm(request.GET)
    kind = request.GET.get("format", "jsonl")
    media_type, lines = review.export(actor=actor(request), form=kind, filters=_filters(form))
    response = StreamingHttpResponse(lines, content_type=media_type)
    name = f"audit-{timezone.localdate().isoformat()}.{EXTENSIONS.get(kind, 'txt')}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return off_the_loop(request, response)


def _filters(form: AuditFilterForm) -> Filters:
    """The valid filters; a day begins and ends at midnight here. A document's bare id finds what mentions it."""
    form.is_valid()
    data = form.cleaned_data
    about = data.get("target", "")
    bare = about.count("-") == 4 and ":" not in about
    return Filters(
        actor=data.get("person", ""),
        action=data.get("action", ""),
        target="" if bare else about,
        mentions=about if bare else "",
        outcome=data.get("outcome", ""),
        since=_midnight(data.get("since")),
        until=_midnight(data["until"] + timedelta(days=1)) if data.get("until") else None,
    )


def _midnight(day: date | None) -> datetime | None:
    return timezone.make_aware(datetime.combine(day, time.min)) if day else None
