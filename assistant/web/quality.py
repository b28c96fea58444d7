"""The golden set for administrators: its questions, its runs, how they compare, the alarm. Thin over `quality`."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant.accounts.roles import Duty, require
from assistant.quality import drift, services
from assistant.quality.marks import Mark
from assistant.quality.models import GoldenRun, GoldenSet, RunStatus, Why

from . import drawing, figures, wording
from .forms import GoldenForm, ScheduleForm
from .pages import acted, actor, form_page, paged, submitted

DRAWN = 40  # runs in the picture
_LINES = ("ndcg", "in_first_two_sentences", "silence", "grounded")


@require_safe
def quality(request: HttpRequest) -> HttpResponse:
    """How the answers fare: the newest run beside the reference, history, what is scheduled."""
    require(actor(request), Duty.MANAGE_MODELS)
    chosen = services.policy()
    questions, now = services.golden(), services.latest()
    page = paged(request, services.runs(), size=20)
    context = {
        "questions": questions,
        "latest": now,
        "changes": [_change(row) for row in now.drift] if now else [],
        "facts": figures.run_facts(now.summary) if now else [],
        "chart": _drawn(questions) if questions else None,
        "waiting": services.queued().first(),
        "fewest": drift.FEWEST,
        "page": page,
        "rows": [{"run": run, "present": questions is not None and run.questions_id == questions.pk} for run in page],
        "form": ScheduleForm(initial={"every": chosen.every, "conversations": chosen.conversations}),
    }
    return render(request, "web/quality.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def questions(request: HttpRequest) -> HttpResponse:
    """Write the questions here, or bring a file."""
    person = actor(request)
    require(person, Duty.MANAGE_MODELS)
    present = services.golden()
    if request.method == "POST":
        form = GoldenForm(request.POST, request.FILES)
        done, _ = submitted(form, lambda given: services.write(actor=person, text=given["text"]))
        if done:
            messages.success(request, gettext("The questions are saved. History begins anew with the next run."))
            return redirect("web:quality")
    else:
        form = GoldenForm(initial={"text": present.text if present else ""})
    return form_page(request, "web/quality_questions.html", form, {"present": present})


@require_safe
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """One run, question by question: numbers, and the words of the question while it is still in the set."""
    found = services.run_of(actor=actor(request), run_id=run_id)
    asked = services.rows(found.questions) if found.questions.text else []
    marks = [Mark.of(row) for row in found.marks]
    page = paged(
        request,
        [
            {"number": number + 1, "row": asked[number] if number < len(asked) else None, "mark": mark}
            for number, mark in enumerate(marks)
        ],
    )
    context = {
        "run": found,
        "page": page,
        "facts": figures.run_facts(found.summary) if found.summary else [],
        "changes": [_change(row) for row in found.drift],
        "may_be_reference": _may_be_reference(found),
    }
    return render(request, "web/quality_run.html", context)


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    person = actor(request)
    words = gettext("The questions are being asked. Reload this page to see how far it is.")
    return acted(request, lambda: services.start(actor=person), words, reverse("web:quality"))


@require_POST
def schedule(request: HttpRequest) -> HttpResponse:
    person, every = actor(request), request.POST.get("every", "")
    allowed = bool(request.POST.get("conversations"))
    return acted(
        request,
        lambda: services.choose(actor=person, every=every, conversations=allowed),
        gettext("The schedule is saved."),
        reverse("web:quality"),
    )


@require_POST
def reference(request: HttpRequest, run_id: int) -> HttpResponse:
    person = actor(request)
    return acted(
        request,
        lambda: services.choose_reference(actor=person, run_id=run_id),
        gettext("Later runs are held against this one."),
        reverse("web:quality-run", args=[run_id]),
    )


def _drawn(questions: GoldenSet) -> drawing.Chart | None:
    """The last runs of what answers, on these questions, from old to new."""
    done = questions.runs.filter(status=RunStatus.DONE).exclude(why=Why.ACTIVATION).order_by("-pk")[:DRAWN]
    runs = list(done)[::-1]
    values = {figures.measure(name): [row.summary.get(name) for row in runs] for name in _LINES}
    times = [wording.moment(row.at)["words"] for row in runs]
    return drawing.chart(values, times, [row.alarm for row in runs])


def _change(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "words": figures.measure(row["measure"])}


def _may_be_reference(run: GoldenRun) -> bool:
    present = services.golden()
    return bool(present and run.status == RunStatus.DONE and run.questions_id == present.pk and not run.reference)
