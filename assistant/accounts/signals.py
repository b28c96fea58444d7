"""Puts sign-in, sign-out and refused sign-in on record: the flow is allauth's, so its signals are the only place.

Knows: the signals of Django and allauth. Does not know: pages, throttles. Business flow never goes through signals.
"""

from __future__ import annotations

import hashlib
from typing import Any

from allauth.account.signals import password_changed
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from assistant import observability
from assistant.audit import services as audit
from assistant.guardrails import sanitize

from .models import User


def _session(request: HttpRequest | None) -> str:
    key = request.session.session_key if request is not None else None
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""


@receiver(user_logged_in)
def signed_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    with observability.context(actor=f"user:{user.pk}", role=user.role, session=_session(request)):
        audit.record(action="auth.sign_in", target=("user", str(user.pk)))


@receiver(user_logged_out)
def signed_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if user is not None:
        audit.record(action="auth.sign_out", target=("user", str(user.pk)))


@receiver(user_login_failed)
def refused(credentials: dict[str, Any], **_: Any) -> None:
    """Whom somebody tried to be is recorded if that person exists; the typed address lies apart, erasable."""
    email = sanitize.title(str(credentials.get("email") or credentials.get("username") or ""), limit=254).lower()
    person = User.objects.filter(email=email).only("pk").first()
    audit.record(
        action="auth.refused",
        outcome="refused",
        target=("user", str(person.pk)) if person else None,
        content={"email": email} if email else None,
    )


@receiver(password_changed)
def changed_own_password(user: User, **_: Any) -> None:
    audit.record(action="account.password_changed", target=("user", str(user.pk)))
