"""People and teams, for who manages them. Thin: load and authorise, one domain call, render."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assistant import collation
from assistant.accounts import policy, services
from assistant.accounts.models import Team, User
from assistant.accounts.roles import Role
from assistant.chat import persons
from assistant.chat.models import Conversation
from assistant.errors import Invalid, NotFound

from .forms import ErasePersonForm, MemberForm, PersonDetailsForm, PersonForm, TeamForm, TeamNameForm
from .pages import acted, actor, form_page, paged, submitted


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, filtered in the address; and the teams."""
    manager = actor(request)
    rows = policy.people(manager).prefetch_related("teams")
    words, role, state = (request.GET.get(name, "").strip() for name in ("q", "role", "state"))
    if words:
        rows = rows.filter(Q(email__icontains=words) | Q(name__icontains=words))
    if role in Role.values:
        rows = rows.filter(role=role)
    if state in {"active", "disabled"}:
        rows = rows.filter(is_active=state == "active")
    page = paged(request, [pk for pk, _, _ in collation.ordered(rows.values_list("pk", "name", "email"), _called)])
    found = rows.in_bulk(list(page.object_list))
    context = {
        "page": page,
        "people": [found[key] for key in page.object_list if key in found],
        "teams": collation.ordered(policy.teams(manager).annotate(count=Count("memberships"))),
        "roles": Role.choices,
        "words": words,
        "role": role,
        "state": state,
    }
    return render(request, "web/people.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_person(request: HttpRequest) -> HttpResponse:
    """A person with a first password, shown once."""
    manager = actor(request)
    policy.people(manager)
    form = PersonForm(request.POST or None, initial={"role": Role.EMPLOYEE})
    if request.method == "POST":
        password = services.generate_password()
        done, row = submitted(form, lambda data: services.create_user(actor=manager, password=password, **data))
        if done:
            return render(request, "web/person_password.html", {"person": row, "password": password, "new": True})
    return form_page(request, "web/person_new.html", form)


@require_http_methods(["GET", "HEAD", "POST"])
def person(request: HttpRequest, user_id: int) -> HttpResponse:
    manager = actor(request)
    row = policy.get_person(manager, user_id)
    form = PersonDetailsForm(request.POST or None, initial={"name": row.name, "role": row.role})
    if request.method == "POST":
        done, _ = submitted(form, lambda data: services.update_user(actor=manager, user=row, **data))
        if done:
            messages.success(request, gettext("Saved."))
            return redirect("web:person", user_id=user_id)
    context = {
        "person": row,
        "memberships": collation.ordered(row.memberships.select_related("team"), lambda each: each.team.name),
        "live_tokens": policy.tokens(row).count(),
        "myself": row.pk == manager.pk,
    }
    return form_page(request, "web/person.html", form, context)


@never_cache
@require_POST
def password(request: HttpRequest, user_id: int) -> HttpResponse:
    """A new password, shown once; every session of the person ends."""
    manager = actor(request)
    row = policy.get_person(manager, user_id)
    new = services.generate_password()
    services.set_password(actor=manager, user=row, password=new)
    return render(request, "web/person_password.html", {"person": row, "password": new, "new": False})


@require_POST
def disable(request: HttpRequest, user_id: int) -> HttpResponse:
    manager = actor(request)
    row = policy.get_person(manager, user_id)
    return acted(
        request,
        lambda: services.disable_user(actor=manager, user=row),
        gettext("%(person)s is disabled. Sessions and tokens have ended.") % {"person": row},
        reverse("web:person", args=[user_id]),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest, user_id: int) -> HttpResponse:
    """What goes, and the address typed once more; then the person is gone."""
    manager = actor(request)
    row = policy.get_person(manager, user_id)
    form = ErasePersonForm(request.POST or None, email=row.email)
    if request.method == "POST":
        done, receipt = submitted(form, lambda data: persons.erase_person(actor=manager, user=row))
        if done:
            words = gettext(
                "The person is erased: %(conversations)s conversations, %(keys)s keys and what belonged to them."
            )
            messages.success(request, words % receipt)
            return redirect("web:people")
    context = {"person": row, "conversations": Conversation.objects.filter(owner=row).count()}
    return form_page(request, "web/person_erase.html", form, context)


@require_POST
def enable(request: HttpRequest, user_id: int) -> HttpResponse:
    manager = actor(request)
    row = policy.get_person(manager, user_id)
    return acted(
        request,
        lambda: services.enable_user(actor=manager, user=row),
        gettext("%(person)s can sign in again.") % {"person": row},
        reverse("web:person", args=[user_id]),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def new_team(request: HttpRequest) -> HttpResponse:
    manager = actor(request)
    policy.teams(manager)
    form = TeamForm(request.POST or None)
    if request.method == "POST":
        done, row = submitted(form, lambda data: services.create_team(actor=manager, **data))
        if done:
            return redirect("web:team", slug=row.slug)
    return form_page(request, "web/team_new.html", form)


@require_http_methods(["GET", "HEAD", "POST"])
def team(request: HttpRequest, slug: str) -> HttpResponse:
    """Members, and the team's name."""
    manager = actor(request)
    row = policy.get_team(manager, slug)
    form = TeamNameForm(request.POST or None, initial={"name": row.name})
    if request.method == "POST":
        done, _ = submitted(form, lambda data: services.rename_team(actor=manager, team=row, **data))
        if done:
            messages.success(request, gettext("Saved."))
            return redirect("web:team", slug=slug)
    return form_page(request, "web/team.html", form, _team_context(row, MemberForm()))


@require_POST
def add_member(request: HttpRequest, slug: str) -> HttpResponse:
    manager = actor(request)
    row = policy.get_team(manager, slug)
    member_form = MemberForm(request.POST)
    done, _ = submitted(member_form, lambda data: _add(manager, row, data["email"]))
    if done:
        messages.success(request, gettext("Added. What the team may read holds for them from the next question on."))
        return redirect("web:team", slug=slug)
    context = _team_context(row, member_form) | {"form": TeamNameForm(initial={"name": row.name})}
    return render(request, "web/team.html", context, status=400)


@require_POST
def remove_member(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    manager = actor(request)
    row = policy.get_team(manager, slug)
    member = policy.get_person(manager, user_id)
    return acted(
        request,
        lambda: services.remove_member(actor=manager, team=row, user=member),
        gettext("Removed. What only the team may read is closed to them from the next question on."),
        reverse("web:team", args=[slug]),
    )


def _called(row: tuple[int, str, str]) -> str:
    """What a person is shown as: the name, else the address."""
    _, name, email = row
    return name or email


def _add(manager: User, team: Team, email: str) -> None:
    try:
        member = policy.only(policy.people(manager), email__iexact=email)
    except NotFound as error:
        sentence = gettext("Nobody here has this address.")
        raise Invalid(sentence, fields={"email": [sentence]}) from error
    services.add_member(actor=manager, team=team, user=member)


def _team_context(row: Team, member_form: MemberForm) -> dict[str, object]:
    memberships = collation.ordered(row.memberships.select_related("user"), lambda each: each.user)
    return {"team": row, "memberships": memberships, "member_form": member_form}
