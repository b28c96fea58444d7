"""Asking, reading answers, and one's own conversations. Thin: load and authorise, one domain call, render."""

from __future__ import annotations

from itertools import groupby
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant import collation, health
from assistant.accounts.models import User
from assistant.chat import examples
from assistant.chat import services as chat
from assistant.chat.models import Answer, AnswerStatus, Conversation
from assistant.documents import policy
from assistant.vault import ring

from . import library, wording
from .forms import AskForm, FeedbackForm, RenameForm
from .pages import acted, actor, form_page, paged, submitted


@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """The home page: one field. A question sent opens its conversation."""
    person = actor(request)
    collections = _collections(person)
    form = AskForm(request.POST or None, collections=collections)
    if request.method == "POST":
        done, result = submitted(
            form,
            lambda data: chat.ask(actor=person, question=data["question"], collections=data["collections"]),
        )
        if done:
            return redirect(_place(result[0]))
    context = {"examples": examples.questions(person), "has_documents": bool(collections)}
    return form_page(request, "web/ask.html", form, context)


@require_http_methods(["GET", "HEAD", "POST"])
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """One conversation with all its answers; a follow-up is posted to the same address."""
    person = actor(request)
    row = chat.get_conversation(actor=person, conversation_id=conversation_id)
    collections = _collections(person)
    form = AskForm(request.POST or None, collections=collections, initial=_narrowed(row, collections))
    if request.method == "POST":
        done, result = submitted(
            form,
            lambda data: chat.ask(
                actor=person,
                question=data["question"],
                conversation_id=row.pk,
                collections=data["collections"],
            ),
        )
        if done:
            return redirect(_place(result[0]))
    answers = chat.present_all(actor=person, answers=_answers(row))
    running = any(view.status != AnswerStatus.DONE for view in answers)
    context = {
        "conversation": row,
        "answers": answers,
        "running": running,
        "last_question": answers[-1].question if answers else "",
        "attended": not running or health.attended("answers"),
        "curators": _curators(person, answers),
    }
    return form_page(request, "web/conversation.html", form, context)


@require_safe
def conversations(request: HttpRequest) -> HttpResponse:
    """The person's own conversations by day; `q` looks in titles and questions."""
    person = actor(request)
    rows = chat.conversations(person)
    words = request.GET.get("q", "").strip()
    if words:
        rows = rows.filter(pk__in=_matching(rows, words.casefold()))
    page = paged(request, rows)
    days = [(day, list(group)) for day, group in groupby(page, key=lambda row: wording.day(row.updated_at))]
    return render(request, "web/conversations.html", {"page": page, "days": days, "words": words})


@require_POST
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    form = RenameForm(request.POST)
    done, _ = submitted(
        form,
        lambda data: chat.rename(actor=actor(request), conversation_id=conversation_id, title=data["title"]),
    )
    if done:
        messages.success(request, gettext("Renamed."))
    else:
        messages.error(request, gettext("Type a title."))
    return redirect("web:conversations")


@require_POST
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Hidden now, erased when the moment to undo is over."""
    chat.delete_conversation(actor=actor(request), conversation_id=conversation_id)
    messages.success(
        request,
        gettext("The conversation is deleted."),
        extra_tags=f"undo:{reverse('web:conversation-restore', args=[conversation_id])}",
    )
    return redirect("web:conversations")


@require_POST
def restore(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    row = chat.restore_conversation(actor=actor(request), conversation_id=conversation_id)
    messages.success(request, gettext("The conversation is back."))
    return redirect("web:conversation", conversation_id=row.pk)


@require_POST
def stop(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    row = chat.cancel(actor=actor(request), answer_id=answer_id)
    return redirect(_place(row))


@require_POST
def again(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    """The same question once more, in the same conversation."""
    person = actor(request)
    row = chat.get_answer(actor=person, answer_id=answer_id)
    readable = {slug for slug, _ in _collections(person)}
    chosen = [slug for slug in row.collections if slug in readable]
    if row.collections and not chosen:  # an empty choice would mean all collections, which nobody chose
        messages.error(request, gettext("You can no longer read the collections that this question was put to."))
        return redirect(_place(row))
    answer, _ = chat.ask(actor=person, question=row.question, conversation_id=row.conversation_id, collections=chosen)
    return redirect(_place(answer))


@require_POST
def feedback(request: HttpRequest, answer_id: UUID) -> HttpResponse:
    form = FeedbackForm(request.POST)
    row = chat.get_answer(actor=actor(request), answer_id=answer_id)
    if not form.is_valid():
        messages.error(request, gettext("Say whether the answer was good."))
        return redirect(_place(row))
    data = form.cleaned_data
    return acted(
        request,
        lambda: chat.give_feedback(actor=actor(request), answer_id=answer_id, good=data["good"], reason=data["reason"]),
        gettext("Thank you. Your judgement is kept with the answer."),
        _place(row),
    )


def _place(answer: Answer) -> str:
    return f"{reverse('web:conversation', args=[answer.conversation_id])}#answer-{answer.pk}"


def _collections(person: User) -> list[tuple[str, str]]:
    """What a question may be narrowed to: collections in which the person can read something."""
    return collation.ordered(policy.readable_collections(person).values_list("slug", "name"), lambda row: row[1])


def _narrowed(conversation: Conversation, collections: list[tuple[str, str]]) -> dict[str, list[str]]:
    """What a follow-up begins with: the choice of the question before it, as far as the person can still read it."""
    chosen = set(conversation.answers.values_list("collections", flat=True).last() or [])
    return {"collections": [slug for slug, _ in collections if slug in chosen]}


def _answers(conversation: Conversation) -> QuerySet[Answer]:
    return conversation.answers.select_related("feedback")


def _curators(person: User, answers: list[chat.AnswerView]) -> list[str]:
    """Whom to ask when the documents do not say: the curators of what was searched, as far as they can be named."""
    if not any(view.outcome == "not_found" for view in answers):
        return []
    slugs = {item["slug"] for view in answers if view.outcome == "not_found" for item in view.evidence["collections"]}
    return library.curators(policy.visible_collections(person).filter(slug__in=slugs))


def _matching(rows: QuerySet[Conversation], words: str) -> set[UUID]:
    """The person's own conversations with the words in title or questions. Both are sealed, so they are read here."""
    ring.load("conversation", rows.values_list("pk", flat=True))
    said = rows.order_by().values_list("pk", "title", "answers__question")
    return {pk for pk, title, question in said if words in f"{title}\n{question or ''}".casefold()}
