"""Bearer tokens: `pa_` and 256 random bits, kept as a SHA-256 digest, shown once.

Knows: their life. Does not know: HTTP headers, what a scope protects (`api.base`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from assistant.audit import services as audit
from assistant.audit.patience import short_transaction
from assistant.backends.prepared import Prepared
from assistant.errors import Conflict, Invalid, PermissionRefused
from assistant.guardrails import sanitize

from . import policy
from .models import ApiToken, User

TOKEN_SCOPES = ("ask", "read", "manage", "audit")  # empty list: everything the person may do
TOKENS_PER_PERSON = 50
_SHAPE = re.compile(r"pa_[A-Za-z0-9_-]{43}")
_USE_NOTED_EVERY = timedelta(minutes=1)


def issue_token(
    *,
    actor: User | None,
    user: User,
    name: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    by: ApiToken | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its text, which is nowhere kept. Only for oneself; `actor` None: a command on the host.

    `by`: the token that asks; what it makes has no more scopes and no longer life than itself.
    Raises PermissionRefused, Invalid, Conflict when the person has too many.
    """
    if actor is not None and actor.pk != user.pk:
        raise PermissionRefused(_("Only the person themselves can make a token."))
    if not user.is_active:
        raise Conflict(_("This person is disabled."))
    chosen = _scopes(scopes)
    if by is not None:
        if by.scopes and not (chosen and set(chosen) <= set(by.scopes)):
            raise PermissionRefused(_("A token cannot make one that may do more than itself."))
        expires_at = min((at for at in (expires_at, by.expires_at) if at is not None), default=None)
    label = sanitize.title(name, limit=100)
    if not label:
        raise Invalid(_("A token needs a name."), fields={"name": [_("A token needs a name.")]})
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(_("The expiry lies in the past."), fields={"expires_at": [_("The expiry lies in the past.")]})
    raw = "pa_" + secrets.token_urlsafe(32)
    with transaction.atomic():
        if policy.tokens(user).count() >= TOKENS_PER_PERSON:
            raise Conflict(_("Revoke a token first: you have %d.") % TOKENS_PER_PERSON, code="too_many_tokens")
        token = ApiToken.objects.create(
            user=user, name=label, prefix=raw[:8], digest=_digest(raw), scopes=chosen, expires_at=expires_at
        )
        detail = {"user": user.pk, "scopes": chosen, "expires_at": expires_at.isoformat() if expires_at else None}
        audit.record(action="token.issued", target=("token", str(token.pk)), detail=detail)
    return token, raw


def revoke_token(*, actor: User, token_id: int | str) -> None:
    """Ends one of the person's own tokens. Raises NotFound."""
    with transaction.atomic():
        token = policy.get_token(actor, token_id)
        ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())
        audit.record(action="token.revoked", target=("token", str(token.pk)), detail={"user": token.user_id})


def authenticate_token(raw: str) -> ApiToken | None:
    """The live token of an active person with this text, `token.user` loaded; None for anything else."""
    if not _SHAPE.fullmatch(raw):
        return None
    # Every call begins here: the least that finds the row is asked for, and what it says is looked at afterwards.
    rows = _TOKEN.rows(digest=_digest(raw))
    if not rows:
        return None
    (row,) = rows
    token = ApiToken.from_db(connection.alias, _TOKEN_FIELDS, row[: len(_TOKEN_FIELDS)])
    token.user = User.from_db(connection.alias, _USER_FIELDS, row[len(_TOKEN_FIELDS) :])
    now = timezone.now()
    if not token.lives(now):
        return None
    if token.last_used_at is None or token.last_used_at < now - _USE_NOTED_EVERY:
        _note_use(token, now)
    return token


_TOKEN_FIELDS = [field.attname for field in ApiToken._meta.concrete_fields]
_USER_FIELDS = [field.attname for field in User._meta.concrete_fields]
_TOKEN = Prepared(
    lambda digest: (
        ApiToken.objects.filter(digest=digest)
        .order_by()
        .values_list(*_TOKEN_FIELDS, *(f"user__{name}" for name in _USER_FIELDS))
    )
)


def _note_use(token: ApiToken, now: datetime) -> None:
    """A convenience for the owner: when the database is busy or read-only the request goes on without it."""
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - _USE_NOTED_EVERY)
    try:
        with short_transaction(milliseconds=100) as bounds:
            if bounds:
                with connection.cursor() as cursor:
                    cursor.execute(bounds)
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    except DatabaseError:
        return
    token.last_used_at = now


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode()).hexdigest()


def _scopes(scopes: Iterable[str]) -> list[str]:
    wanted = set(scopes)
    if unknown := sorted(wanted - set(TOKEN_SCOPES)):
        words = _("Unknown scope: %s.") % ", ".join(sanitize.title(name, limit=40) for name in unknown[:5])
        raise Invalid(words, fields={"scopes": [words]})
    return [name for name in TOKEN_SCOPES if name in wanted]
