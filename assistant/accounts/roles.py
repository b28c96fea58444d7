"""The one matrix of roles and duties. Knows: what a role may do anywhere. Does not know: grants on collections
(those are in `documents.policy`)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from assistant.errors import PermissionRefused

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from .models import User


class Role(models.TextChoices):
    EMPLOYEE = "employee", _("Employee")
    CURATOR = "curator", _("Curator")
    AUDITOR = "auditor", _("Auditor")
    ADMINISTRATOR = "administrator", _("Administrator")


class Duty(StrEnum):
    """What a role includes, everywhere. Reading documents is never a duty: it comes from grants alone."""

    ASK = "ask"
    CURATE_GRANTED = "curate_granted"  # upload and manage where a curator grant says so
    MANAGE_DOCUMENTS = "manage_documents"  # upload and manage in every collection
    MANAGE_GRANTS = "manage_grants"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_MODELS = "manage_models"
    REVIEW_AUDIT = "review_audit"
    MANAGE_PRIVACY = "manage_privacy"  # how personal data is shown
    REVIEW_PERSONAL_DATA = "review_personal_data"  # where it lies, in numbers


_MATRIX: dict[str, frozenset[Duty]] = {
    Role.EMPLOYEE: frozenset({Duty.ASK}),
    Role.CURATOR: frozenset({Duty.ASK, Duty.CURATE_GRANTED}),
    Role.AUDITOR: frozenset({Duty.ASK, Duty.REVIEW_AUDIT, Duty.REVIEW_PERSONAL_DATA}),
    Role.ADMINISTRATOR: frozenset(
        {
            Duty.ASK,
            Duty.CURATE_GRANTED,
            Duty.MANAGE_DOCUMENTS,
            Duty.MANAGE_GRANTS,
            Duty.MANAGE_PEOPLE,
            Duty.MANAGE_MODELS,
            Duty.REVIEW_AUDIT,
            Duty.MANAGE_PRIVACY,
            Duty.REVIEW_PERSONAL_DATA,
        }
    ),
}
_SEPARATED = frozenset({Duty.MANAGE_DOCUMENTS, Duty.REVIEW_AUDIT})


def duties(role: str) -> frozenset[Duty]:
    """The duties of a role under the present settings; an unknown role has none."""
    found = _MATRIX.get(role, frozenset())
    if settings.SEPARATION_OF_DUTIES and role == Role.ADMINISTRATOR:
        found -= _SEPARATED
    return found


def has_duty(user: User | AnonymousUser, duty: Duty) -> bool:
    return bool(user.is_authenticated and user.is_active and duty in duties(user.role))


def require(user: User | AnonymousUser, duty: Duty) -> None:
    """Raises PermissionRefused when the role does not include the duty."""
    if not has_duty(user, duty):
        raise PermissionRefused(f"This needs the duty “{duty.value}”, which your role does not include.")
