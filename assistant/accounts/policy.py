"""Which people, teams and tokens somebody may see or change. Fails closed.

Knows: the duty of managing people; that a token belongs to one person. Does not know: documents and their grants.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from assistant.errors import NotFound

from .models import ApiToken, Team, User
from .roles import Duty, require

Row = TypeVar("Row", bound=Model)


def people(actor: User) -> QuerySet[User]:
    """Every person, for who manages people. Raises PermissionRefused."""
    require(actor, Duty.MANAGE_PEOPLE)
    return User.objects.all()


def get_person(actor: User, user_id: int | str) -> User:
    """Raises PermissionRefused or NotFound."""
    return only(people(actor), pk=user_id)


def get_person_by_email(actor: User, email: str) -> User:
    """Raises PermissionRefused or NotFound."""
    return only(people(actor), email__iexact=email)


def teams(actor: User) -> QuerySet[Team]:
    """Every team, for who manages people. Raises PermissionRefused."""
    require(actor, Duty.MANAGE_PEOPLE)
    return Team.objects.all()


def get_team(actor: User, slug: str) -> Team:
    """Raises PermissionRefused or NotFound."""
    return only(teams(actor), slug=slug)


def tokens(actor: User) -> QuerySet[ApiToken]:
    """The person's own tokens that still work; nobody sees another's."""
    return ApiToken.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), user=actor.pk, revoked_at__isnull=True
    )


def get_token(actor: User, token_id: int | str) -> ApiToken:
    """Raises NotFound."""
    return only(tokens(actor), pk=token_id)


def only(queryset: QuerySet[Row], **key: Any) -> Row:
    """The one row, or NotFound: the same words for absent and forbidden."""
    try:
        row = queryset.filter(**key).first()
    except (ValueError, OverflowError):  # a malformed id names nothing
        row = None
    if row is None:
        raise NotFound
    return row
