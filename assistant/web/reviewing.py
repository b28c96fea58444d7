"""What reviewers do in pairs, what they keep, who saw what, whether an answer stands, a week in numbers; and for
everybody, who opened a text of theirs. Thin."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant.accounts import review, two_people
from assistant.accounts.models import User
from assistant.accounts.roles import Duty, require
from assistant.audit.models import AuditPermit, AuditPruning
from assistant.chat import replay_requests
from assistant.documents import policy, services
from assistant.documents.models import Document

from . import review_words
from .forms import PruningForm, SavedSearchForm, document_id
from .pages import acted, actor, form_page, paged, submitted

_MOST_SIGHTS, _MOST_TITLES = 500, 20  # shown on one page
_LATE = timedelta(minutes=2)  # a replay that long without a verdict: nobody may be working on it


@require_safe
def permits(request: HttpRequest) -> HttpResponse:
    """What reviewers asked of each other, newest first, with what this one can do about each."""
    person = actor(request)
    page = paged(request, two_people.permits(actor=person))
    people = review.addresses(name for row in page for name in (row.requested_by, row.decided_by, row.concerns))
    rows = [_row(row, people, f"user:{person.pk}") for row in page]
    return render(request, "web/audit_permits.html", {"page": page, "rows": rows})


@require_POST
def ask_to_open(request: HttpRequest, seq: int) -> HttpResponse:
    person, reason = actor(request), request.POST.get("reason", "")
    return acted(
        request,
        lambda: two_people.ask_to_open(actor=person, seq=seq, reason=reason),
        gettext("Asked. Another reviewer has to agree."),
        reverse("web:audit-event", args=[seq]),
    )


@require_POST
def decide(request: HttpRequest, permit_id: int) -> HttpResponse:
    person, approve = actor(request), request.POST.get("decision") == "approve"
    return acted(
        request,
        lambda: two_people.decide(actor=person, permit_id=permit_id, approve=approve),
        gettext("You agreed.") if approve else gettext("You declined."),
        reverse("web:audit-permits"),
    )


@never_cache
@require_POST
def open_text(request: HttpRequest, permit_id: int) -> HttpResponse:
    """The text, on this one page only."""
    text = two_people.open_text(actor=actor(request), permit_id=permit_id)
    return render(request, "web/audit_text.html", {"texts": list(text.values())})


@require_POST
def prune(request: HttpRequest, permit_id: int) -> HttpResponse:
    """Remove what two people agreed on."""
    person = actor(request)
    return acted(
        request,
        lambda: two_people.prune(actor=person, permit_id=permit_id),
        gettext("The old events are removed. What stays of them is a signed statement in the chain."),
        reverse("web:audit-permits"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def pruning(request: HttpRequest) -> HttpResponse:
    """Which old events may go, and asking another reviewer to agree that they go."""
    person = actor(request)
    segments = two_people.prunable(actor=person)
    form = PruningForm(request.POST or None, segments=[(row.last_seq, review_words.segment(row)) for row in segments])
    if request.method == "POST":
        done, _ = submitted(form, lambda data: two_people.ask_to_prune(actor=person, **data))
        if done:
            messages.success(request, gettext("Asked. Another reviewer has to agree."))
            return redirect("web:audit-permits")
    context = {"segments": segments, "days": settings.AUDIT_RETENTION_DAYS, "gone": AuditPruning.objects.all()[:50]}
    return form_page(request, "web/audit_pruning.html", form, context)


@require_http_methods(["GET", "HEAD", "POST"])
def queries(request: HttpRequest) -> HttpResponse:
    """This reviewer's own saved searches; a POST keeps one (`query` is the timeline's query string)."""
    person = actor(request)
    form = SavedSearchForm(request.POST or None)
    if request.method == "POST":
        done, row = submitted(form, lambda data: review.save(actor=person, **data))
        if done:
            messages.success(request, gettext("Kept as “%(name)s”.") % {"name": row.name})
            return redirect(f"{reverse('web:audit')}?{row.query}")
    rows = [{"row": row, "filters": review_words.filters(row.query)} for row in review.saved(actor=person)]
    return form_page(request, "web/audit_queries.html", form, {"rows": rows})


@require_POST
def forget(request: HttpRequest, query_id: int) -> HttpResponse:
    person = actor(request)
    return acted(
        request,
        lambda: review.forget(actor=person, query_id=query_id),
        gettext("The saved search is removed."),
        reverse("web:audit-queries"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def replayed(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """Whether an answer stands: a worker answers once more from the record. Numbers, never words of the answer."""
    person = actor(request)
    if request.method == "POST":
        replay_requests.ask(actor=person, answer_id=answer_id)
        return redirect("web:audit-replay", answer_id=answer_id)
    found = replay_requests.standing(actor=person, answer_id=answer_id)
    detail = found.event.detail if found.event is not None and found.state == "done" else {}
    context = {
        "standing": found,
        "who": review.addresses([found.answered.actor]).get(found.answered.actor, found.answered.actor),
        "detail": detail,
        "verdict": review_words.replay_verdict(detail) if detail else None,
        "late": found.state == "waiting" and found.event is not None and found.event.at < timezone.now() - _LATE,
    }
    return render(request, "web/audit_replay.html", context)


@require_safe
def sights(request: HttpRequest) -> HttpResponse:
    """Who saw this document (`?document=`: its id, its page's address, or words of its title), or what this person saw
    (`?person=`). Titles are known of documents alone that the reviewer may see in the library."""
    reviewer = actor(request)
    typed, person = request.GET.get("document", "").strip()[:300], request.GET.get("person", "").strip()[:254]
    document = document_id(typed)
    fitting = _titled(reviewer, typed) if typed and not document else []
    if len(fitting) == 1:
        document = str(fitting[0].pk)
    asked = bool(document or not typed)
    rows = review.sights(actor=reviewer, document=document, person=person) if asked else []
    people = review.addresses(row.who for row in rows)
    titles = policy.titles(reviewer, [document, *(row.document for row in rows[:_MOST_SIGHTS])])
    context = {
        "typed": typed,
        "person": person,
        "title": titles.get(document, ""),
        "asked": asked and bool(document or person),
        "fitting": fitting[:_MOST_TITLES],
        "more": len(fitting) > _MOST_TITLES,
        "rows": [
            {
                "row": row,
                "who": people.get(row.who, row.who),
                "title": titles.get(row.document, ""),
                "ways": review_words.ways(row.ways),
            }
            for row in rows[:_MOST_SIGHTS]
        ],
    }
    return render(request, "web/audit_sights.html", context)


@require_safe
def digest(request: HttpRequest) -> HttpResponse:
    """A week in numbers, beside the week before."""
    found = review.digest(actor=actor(request), day=_day(request.GET.get("day", "")))
    people = review.addresses([*(who for who, _ in found.turned_away), *(event.actor for event in found.notable)])
    context = {
        "digest": found,
        "lines": [{"words": review_words.digest_words(line.name), "line": line} for line in found.lines],
        "turned_away": [(people.get(who, who), often) for who, often in found.turned_away],
        "notable": [{"event": event, "who": people.get(event.actor, event.actor)} for event in found.notable],
        "earlier": (found.first - timedelta(days=7)).isoformat(),
        "later": (found.first + timedelta(days=7)).isoformat() if found.last < timezone.localdate() else "",
    }
    return render(request, "web/audit_digest.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def openings(request: HttpRequest) -> HttpResponse:
    """Whenever a text of this person was opened in a review; a POST says that they have read it."""
    person = actor(request)
    if request.method == "POST":
        two_people.acknowledge(actor=person)
        messages.success(request, gettext("Thank you. It stays listed here."))
        return redirect("web:openings")
    page = paged(request, two_people.openings(actor=person))
    people = review.addresses(name for row in page for name in (row.requested_by, row.decided_by))
    rows = [_row(row, people, "") for row in page]
    return render(request, "web/openings.html", {"page": page, "rows": rows, "new": two_people.unread(actor=person)})


def _titled(reviewer: User, words: str) -> list[Document]:
    """Documents whose title, as the reviewer may see it, holds the words; by title. One more than are listed."""
    require(reviewer, Duty.REVIEW_AUDIT)
    library = services.documents(actor=reviewer)
    keys = services.arranged(actor=reviewer, rows=library, words=words)[: _MOST_TITLES + 1]
    found = library.in_bulk(keys)
    return [row for row, _ in services.states(actor=reviewer, documents=[found[key] for key in keys if key in found])]


def _row(row: AuditPermit, people: dict[str, str], me: str) -> dict[str, Any]:
    alive = row.expires_at > timezone.now()
    return {
        "permit": row,
        "asked_by": people.get(row.requested_by, row.requested_by),
        "decided_by": people.get(row.decided_by, row.decided_by),
        "concerns": people.get(row.concerns, row.concerns),
        "state": review_words.permit_state(row.approved, alive=alive),
        "decide": row.approved is None and alive and row.requested_by != me,
        "open": row.kind == "open" and bool(row.approved) and alive and row.requested_by == me,
        "prune": row.kind == "prune" and bool(row.approved) and alive and row.requested_by == me and not row.used_at,
    }


def _day(text: str) -> date:
    try:
        return min(max(date.fromisoformat(text), date(2000, 1, 10)), date(2999, 1, 1))
    except ValueError:
        return timezone.localdate()
