"""One's own account: name and role, tokens, language and theme. The password is changed through sign-in's own pages."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant import collation
from assistant.accounts import policy, services
from assistant.accounts.models import User
from assistant.chat import persons

from .forms import TokenForm
from .pages import acted, actor, back, form_page, submitted

THEMES = ("light", "dark")
YEAR = 365 * 24 * 3600


@require_safe
def account(request: HttpRequest) -> HttpResponse:
    person = actor(request)
    return render(request, "web/account.html", {"person": person, "teams": collation.ordered(person.teams.all())})


@never_cache
@require_POST
def export(request: HttpRequest) -> HttpResponse:
    """What is kept about the person, as a file."""
    person = actor(request)
    data = persons.export_person(actor=person, user=person)
    response = JsonResponse(data, json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = 'attachment; filename="kept-about-me.json"'
    return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens; a new one is shown on the page that answers the form, and never again."""
    person = actor(request)
    form = TokenForm(request.POST or None)
    secret = ""
    if request.method == "POST":
        done, result = submitted(
            form,
            lambda data: services.issue_token(
                actor=person,
                user=person,
                name=data["name"],
                scopes=data["scopes"],
                expires_at=timezone.now() + timedelta(days=data["days"]) if data["days"] else None,
            ),
        )
        if done:
            _token, secret = result
            form = TokenForm()
    return form_page(request, "web/tokens.html", form, {"tokens": policy.tokens(person), "secret": secret})


@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    person = actor(request)
    return acted(
        request,
        lambda: services.revoke_token(actor=person, token_id=token_id),
        gettext("The token is revoked. It no longer works."),
        reverse("web:tokens"),
    )


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Language and theme: kept in this browser, the language also with the person."""
    response = redirect(back(request, reverse("web:ask")))
    if "theme" in request.POST:
        theme = request.POST["theme"]
        if theme in THEMES:
            _keep(response, "theme", theme)
        else:
            response.delete_cookie("theme", samesite="Lax")
    language = request.POST.get("language", "")
    if language in dict(settings.LANGUAGES):
        if isinstance(request.user, User):
            services.set_language(actor=request.user, language=language)
        _keep(response, settings.LANGUAGE_COOKIE_NAME, language)
    elif "language" in request.POST:
        messages.error(request, gettext("This language is not available."))
    return response


def _keep(response: HttpResponse, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
