"""Tags of the pages: the frame's navigation, answer text, times, and query strings. Only `opened_texts`
reads the database: one count on an index."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.db import DatabaseError
from django.forms import BoundField
from django.template import Context
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from assistant import collation
from assistant.accounts import two_people
from assistant.accounts.roles import Duty, has_duty
from assistant.web import failures, figures, pages, rendering, wording

register = template.Library()

# (address name, words, duty needed, other places where it is marked as current)
_PAGES = (
    ("web:ask", _("Ask"), Duty.ASK, ()),
    ("web:conversations", _("Conversations"), Duty.ASK, ("conversation",)),
    ("web:library", _("Library"), Duty.ASK, ("collection", "document", "upload", "new-version", "search")),
    ("web:people", _("People"), Duty.MANAGE_PEOPLE, ("person", "team")),
    ("web:models", _("Models"), Duty.MANAGE_MODELS, ()),
    ("web:quality", _("Quality"), Duty.MANAGE_MODELS, ("quality-",)),
    ("web:health", _("Health"), Duty.MANAGE_MODELS, ()),
    ("web:audit", _("Audit"), Duty.REVIEW_AUDIT, ("audit-",)),
    ("web:personal-data", _("Personal data"), Duty.REVIEW_PERSONAL_DATA, ("personal-data-",)),
)


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> list[dict[str, Any]]:
    """The pages this person's role includes, the current one marked."""
    request = context.get("request")
    if request is None or not getattr(request, "user", None) or not request.user.is_authenticated:
        return []
    here = getattr(request.resolver_match, "url_name", None) or ""
    return [
        {
            "url": reverse(name),
            "words": words,
            "current": here == name.partition(":")[2]
            or any(here == prefix or here.startswith(f"{prefix.rstrip('-')}-") for prefix in others),
        }
        for name, words, duty, others in _PAGES
        if has_duty(request.user, duty)
    ]


@register.simple_tag(takes_context=True)
def opened_texts(context: Context) -> int:
    """How many texts of this person a review opened without their having read about it; 0 on pages of failures."""
    request = context.get("request")
    user = getattr(request, "user", None)
    match = getattr(request, "resolver_match", None)
    if user is None or match is None or not user.is_authenticated or match.url_name == "openings":
        return 0
    try:
        return two_people.unread(actor=user)
    except DatabaseError:  # the page that says so must not fail for the same reason
        return 0


@register.filter
def personal_data_words(name: str) -> str:
    """The class in words; a customer's own class by its name."""
    return str(wording.PERSONAL_DATA_WORDS.get(name, name))


@register.simple_tag
def waiting_nobody() -> str:
    return wording.waiting_nobody()


@register.simple_tag
def script_words() -> dict[str, str]:
    """The sentences that scripts may say, in the reader's language."""
    return wording.script_words()


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """ "light" or "dark" when the person chose one; "" follows the device."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme", "") if request is not None else ""
    return chosen if chosen in {"light", "dark"} else ""


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: str) -> str:
    """This page's query string with changes."""
    return pages.address(context["request"], **changes)


@register.simple_tag
def answer_blocks(view: Any) -> list[rendering.Block]:
    """The finished answer as paragraphs, lists and sentences."""
    return rendering.blocks(view.sentences)


@register.simple_tag
def answer_sources(view: Any) -> list[rendering.Source[Any]]:
    """The source cards of an answer: its quotations by marker."""
    return rendering.sources(view.citations)


@register.simple_tag
def collection_name(view: Any, slug: str) -> str:
    """The name that this person sees for a collection of the answer."""
    return next((str(item["name"]) for item in view.evidence["collections"] if item["slug"] == slug), slug)


@register.simple_tag
def not_answered(view: Any) -> tuple[str, str]:
    """(heading, what to try next) of an answer without text."""
    return failures.not_answered(view.outcome, view.reason)


@register.simple_tag
def excerpts(source: rendering.Source[Any]) -> list[rendering.Excerpt[Any]]:
    """What a source card quotes, each stretch of a page once."""
    return rendering.excerpts(source)


@register.filter
def moment(value: datetime | None) -> dict[str, str]:
    """A time for people ("14:05 today" grows older as "3 May 2026, 14:05") and for machines."""
    return wording.moment(value) if value else {"words": gettext("never"), "iso": ""}


@register.filter
def say(value: str) -> str:
    """A fixed English sentence of the domain in the reader's language."""
    return gettext(value) if value else ""


@register.simple_tag
def widget(field: BoundField, extra: str = "") -> Any:
    """The widget with what assistive technology needs: the hint, the error, and that it is wrong.

    `extra` is "name=value;name=value"."""
    given: dict[str, str | bool] = dict(part.partition("=")[::2] for part in extra.split(";") if part)
    described = []
    if field.help_text:
        described.append(f"{field.auto_id}_hint")
    if field.errors:
        described.append(f"{field.auto_id}_error")
        given["aria-invalid"] = "true"
    if described:
        given["aria-describedby"] = " ".join(described)
    return field.as_widget(attrs=given)


@register.filter
def named(code: str, names: dict[str, str]) -> str:
    """The name kept under the code, else the code."""
    return names.get(code, code)


register.filter("run_state", figures.run_state)
register.filter("by_name", collation.ordered)
register.filter("why_unread", failures.why_unread)
for _name in (
    "state",
    "media_kind",
    "size_words",
    "action_words",
    "outcome_words",
    "outcome_name",
    "actor_words",
    "role_words",
    "reason_words",
    "scope_words",
    "listed",
    "model_state",
    "duration",
):
    register.filter(_name, getattr(wording, _name))
register.filter("day", wording.date)
