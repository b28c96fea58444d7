"""What can be done to people and teams; each act checks the right, changes and records in one transaction.

Knows: people, roles, teams. Does not know: documents, sessions' storage (a raised `session_version` ends them).
Tokens live in `tokens`; their names are offered here too, so that callers import one module.
"""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email, validate_slug
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from assistant.audit import services as audit
from assistant.errors import Conflict, Invalid
from assistant.guardrails import sanitize, slugs

from . import policy
from .models import Membership, Team, User
from .roles import Duty, Role, require
from .tokens import TOKEN_SCOPES, authenticate_token, issue_token, revoke_token

__all__ = [
    "TOKEN_SCOPES",
    "add_member",
    "authenticate_token",
    "change_user",
    "create_team",
    "create_user",
    "disable_user",
    "enable_user",
    "generate_password",
    "issue_token",
    "remove_member",
    "rename_team",
    "revoke_token",
    "set_language",
    "set_password",
    "update_user",
]

_READABLE = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def generate_password() -> str:
    """Four groups of five characters that cannot be confused when read aloud: 116 random bits."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))


def create_user(
    *, actor: User | None, email: str, name: str = "", role: str = Role.EMPLOYEE, password: str | None = None
) -> User:
    """A new person; without a password nobody can sign in as them until `set_password`. `actor` None: a command.

    Raises PermissionRefused, Invalid, Conflict when the address is taken.
    """
    if actor is not None:
        require(actor, Duty.MANAGE_PEOPLE)
    email = _address(email)
    user = User(email=email, name=sanitize.title(name, limit=150), role=_role(role))
    if password is not None:
        _check_password(password, user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            audit.record(action="account.created", target=_target(user), detail={"role": user.role})
    except IntegrityError as error:
        if User.objects.filter(email__iexact=email).exists():
            raise Conflict(_("Somebody with this address exists already."), code="email_taken") from error
        raise
    return user


def update_user(*, actor: User, user: User, name: str | None = None, role: str | None = None) -> User:
    """Change name or role. A new role ends the person's sessions; the last administrator keeps theirs.

    Raises PermissionRefused, NotFound, Invalid, Conflict.
    """
    require(actor, Duty.MANAGE_PEOPLE)
    new_role = _role(role) if role is not None else None
    with transaction.atomic():
        person = _locked(user)
        detail: dict[str, object] = {}
        if name is not None and (clean := sanitize.title(name, limit=150)) != person.name:
            person.name = clean
            detail["fields"] = ["name"]
        if new_role is not None and new_role != person.role:
            if person.role == Role.ADMINISTRATOR and person.is_active:
                _keep_an_administrator(person)
            detail["role"] = [person.role, new_role]
            person.role = new_role
            person.session_version += 1
        if detail:
            person.save(update_fields=["name", "role", "session_version"])
            audit.record(action="account.changed", target=_target(person), detail=detail)
    return person


def change_user(
    *,
    actor: User,
    user: User,
    name: str | None = None,
    role: str | None = None,
    is_active: bool | None = None,
    password: str | None = None,
) -> User:
    """Several changes at once: all of them or none."""
    require(actor, Duty.MANAGE_PEOPLE)
    with transaction.atomic():
        person = update_user(actor=actor, user=user, name=name, role=role)
        if password is not None:
            person = set_password(actor=actor, user=person, password=password)
        if is_active is not None:
            person = (enable_user if is_active else disable_user)(actor=actor, user=person)
    return person


def disable_user(*, actor: User, user: User) -> User:
    """Ends every session and token of the person with the next request. Raises Conflict for the last administrator."""
    require(actor, Duty.MANAGE_PEOPLE)
    with transaction.atomic():
        person = _locked(user)
        if person.is_active:
            if person.role == Role.ADMINISTRATOR:
                _keep_an_administrator(person)
            person.is_active = False
            person.session_version += 1
            person.save(update_fields=["is_active", "session_version"])
            revoked = _revoke_all(person)
            audit.record(action="account.disabled", target=_target(person), detail={"tokens_revoked": revoked})
    return person


def enable_user(*, actor: User, user: User) -> User:
    """The person may sign in again, with the same password; old sessions and tokens stay ended."""
    require(actor, Duty.MANAGE_PEOPLE)
    with transaction.atomic():
        person = _locked(user)
        if not person.is_active:
            person.is_active = True
            person.save(update_fields=["is_active"])
            audit.record(action="account.enabled", target=_target(person))
    return person


def set_password(*, actor: User | None, user: User, password: str) -> User:
    """A new password, given by an administrator, a command (`actor` None) or the person; every session ends."""
    if actor is not None and actor.pk != user.pk:
        require(actor, Duty.MANAGE_PEOPLE)
    _check_password(password, user)
    with transaction.atomic():
        person = _locked(user)
        person.set_password(password)
        person.session_version += 1
        person.save(update_fields=["password", "session_version"])
        audit.record(action="account.password_changed", target=_target(person))
    return person


def set_language(*, actor: User, language: str) -> User:
    """The language of the pages for this person; empty means what the browser asks for."""
    from django.conf import settings

    if language and language not in dict(settings.LANGUAGES):
        raise Invalid(_("This language is not available."), fields={"language": [_("This language is not available.")]})
    User.objects.filter(pk=actor.pk).update(language=language)
    actor.language = language
    return actor


def create_team(*, actor: User | None, name: str, slug: str = "") -> Team:
    """Without a slug the team gets one made from its name. `actor` None: a command.

    Raises PermissionRefused, Invalid, Conflict when the short name is taken."""
    if actor is not None:
        require(actor, Duty.MANAGE_PEOPLE)
    slug = slug.strip().lower() or slugs.short_name(
        name, otherwise="team", taken=lambda found: Team.objects.filter(slug=found).exists()
    )
    if slug in slugs.RESERVED:
        message = _("This word is the address of a page. Choose another one.")
        raise Invalid(message, fields={"slug": [message]})
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise Invalid(_("Use letters, digits and hyphens."), fields={"slug": error.messages}) from error
    if len(slug) > 60:
        raise Invalid(_("At most 60 characters."), fields={"slug": [_("At most 60 characters.")]})
    team = Team(slug=slug, name=_team_name(name))
    try:
        with transaction.atomic():
            team.save(force_insert=True)
            audit.record(action="team.created", target=("team", team.slug))
    except IntegrityError as error:
        if Team.objects.filter(slug=slug).exists():
            raise Conflict(_("A team with this short name exists already."), code="slug_taken") from error
        raise
    return team


def rename_team(*, actor: User, team: Team, name: str) -> Team:
    require(actor, Duty.MANAGE_PEOPLE)
    with transaction.atomic():
        team.name = _team_name(name)
        team.save(update_fields=["name"])
        audit.record(action="team.changed", target=("team", team.slug), detail={"fields": ["name"]})
    return team


def add_member(*, actor: User | None, team: Team, user: User) -> bool:
    """False when the person was a member already; nothing is recorded then. `actor` None: a command."""
    if actor is not None:
        require(actor, Duty.MANAGE_PEOPLE)
    with transaction.atomic():
        _membership, created = Membership.objects.get_or_create(team=team, user=user)
        if created:
            audit.record(action="team.member_added", target=("team", team.slug), detail={"user": user.pk})
    return created


def remove_member(*, actor: User, team: Team, user: User) -> bool:
    """False when the person was no member; nothing is recorded then."""
    require(actor, Duty.MANAGE_PEOPLE)
    with transaction.atomic():
        removed, _rows = Membership.objects.filter(team=team, user=user).delete()
        if removed:
            audit.record(action="team.member_removed", target=("team", team.slug), detail={"user": user.pk})
    return bool(removed)


def _target(user: User) -> tuple[str, str]:
    return "user", str(user.pk)


def _locked(user: User) -> User:
    return policy.only(User.objects.select_for_update(), pk=user.pk)


def _keep_an_administrator(person: User) -> None:
    """Locks every active administrator, so that two at once cannot remove each other."""
    active = User.objects.select_for_update().filter(role=Role.ADMINISTRATOR, is_active=True).order_by("pk")
    if not [other for other in active if other.pk != person.pk]:
        raise Conflict(_("This is the last administrator; make another one first."), code="last_administrator")


def _revoke_all(person: User) -> int:
    from django.utils import timezone

    return person.tokens.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())


def _address(email: str) -> str:
    email = sanitize.title(email, limit=400).strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid(_("This is not an e-mail address."), fields={"email": error.messages}) from error
    if len(email) > 254:
        raise Invalid(_("This is not an e-mail address."), fields={"email": [_("At most 254 characters.")]})
    return email


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        known = ", ".join(Role.values)
        raise Invalid(_("This role does not exist."), fields={"role": [_("One of: %s.") % known]}) from None


def _team_name(name: str) -> str:
    clean = sanitize.title(name, limit=120)
    if not clean:
        raise Invalid(_("A team needs a name."), fields={"name": [_("A team needs a name.")]})
    return clean


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            _("Choose another password."), code="weak_password", fields={"password": error.messages}
        ) from error
