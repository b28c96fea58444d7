"""Everything about one person: erased for good, or handed to them.

Knows: which rooms hold something of a person. Does not know: how a page or a file is made of it. What others wrote, the
documents of the company and the record that something happened stay: events keep the person's number, their texts go.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.utils import timezone

from assistant.accounts.models import ApiToken, User
from assistant.accounts.roles import Duty, Role, require
from assistant.audit import services as audit
from assistant.audit.models import AuditEvent, AuditPermit
from assistant.documents import erasure, holds
from assistant.documents.models import Document, DocumentVersion, Grant
from assistant.errors import Conflict
from assistant.vault import remains, ring

from . import held, services
from .models import Answer, Conversation, DailyQuestions

_TABLES = ("accounts_user", "account_emailaddress", "django_session")  # hold what is not sealed: name and address


def erase_person(*, actor: User | None, user: User) -> dict[str, int]:
    """Erase the account and all that is the person's; the certificate counts what went. `actor` None: a command.

    Ended at once: sessions, tokens, memberships, grants in their name. Erased: conversations with questions, answers,
    judgements; the texts of their audit events (commitments stay, the chain verifies); name and address. Kept: what
    they uploaded, which are the company's, without their name. Destroyed: their keys, and so every copy in archives.
    Raises PermissionRefused, Conflict (oneself, the last administrator, legal hold on the person or on what their
    conversations quote: the reviewers are told, nothing is erased), AuditUnavailable.
    """
    if actor is not None:
        require(actor, Duty.MANAGE_PEOPLE)
        if actor.pk == user.pk:
            raise Conflict("Another administrator has to erase your account.", code="oneself")
    key = user.pk
    mine = Conversation.objects.filter(owner=key)
    with transaction.atomic():
        held.tell(mine, asked="erasure")
    holds.check_person(key)
    held.check(mine)
    audit.intent(action="account.erased", target=("user", str(key)))
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=key)
        _keep_an_administrator(row)
        holds.check_person(key)
        held.check(mine)
        row.is_active = False  # nothing new begins while the rest goes
        row.session_version += 1
        row.save(update_fields=["is_active", "session_version"])
    receipt = {
        "answers": Answer.objects.filter(owner=key).count(),
        "conversations": services.erase(mine, reason="person_erased"),
        "sessions": _end_sessions(key),
        "audited_texts": audit.erase_contents(_sequences(key)),
    }
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=key)
        held.check(mine)  # a hold placed meanwhile keeps them, and with them their owner's account
        receipt |= {
            "tokens": ApiToken.objects.filter(user=key).count(),
            "grants": Grant.objects.filter(user=key).count(),
            "memberships": row.memberships.count(),
            "documents_without_name": Document.objects.filter(owner=key).count(),
            "opening_reasons": AuditPermit.objects.filter(concerns=f"user:{key}").exclude(reason="").update(reason=""),
        }
        receipt["keys"] = ring.mark_erased("person", key)
        row.delete()
        audit.record(action="account.erased", target=("user", str(key)), detail=dict(receipt))
    erasure.clear_write_ahead_log()
    _rewrite_tables()
    return receipt


def export_person(*, actor: User | None, user: User) -> dict[str, Any]:
    """What is kept about the person, as plain data for JSON. By the person, or a command (`actor` None): no role reads
    another person's conversations. Answers are as their owner may see them now. Raises Conflict, AuditUnavailable."""
    if actor is not None and actor.pk != user.pk:
        raise Conflict("Only the person, or a command on the host, may export this.", code="not_yours")
    audit.intent(action="account.exported", target=("user", str(user.pk)))
    conversations = list(Conversation.objects.filter(owner=user).order_by("created_at"))
    export = {
        "made_at": timezone.now().isoformat(),
        "account": {
            "number": user.pk,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "language": user.language,
            "active": user.is_active,
            "created_at": user.created_at,
            "last_sign_in": user.last_login,
            "teams": list(user.teams.order_by("slug").values_list("slug", flat=True)),
        },
        "tokens": list(
            ApiToken.objects.filter(user=user).values(
                "name", "prefix", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"
            )
        ),
        "grants": [
            {"collection": grant.scope.collection.slug, "restricted": grant.scope.restricted, "access": grant.access}
            for grant in Grant.objects.filter(user=user).select_related("scope__collection")
        ],
        "conversations": [_conversation(user, row) for row in conversations],
        "questions_by_day": list(DailyQuestions.objects.filter(owner=user).values("day", "count")),
        "uploads": [
            {"document": str(version.document_id), "file": version.filename, "at": version.created_at}
            for version in DocumentVersion.objects.filter(uploaded_by=user).order_by("created_at")
        ],
        "events": list(
            AuditEvent.objects.filter(actor=f"user:{user.pk}")
            .order_by("seq")
            .values("seq", "at", "action", "outcome", "target_type", "target_id", "origin")
        ),
        "text_openings": list(
            AuditPermit.objects.filter(concerns=f"user:{user.pk}", used_at__isnull=False).values("seq", "used_at")
        ),
    }
    audit.record(action="account.exported", target=("user", str(user.pk)), detail={"conversations": len(conversations)})
    return export


def _conversation(user: User, row: Conversation) -> dict[str, Any]:
    answers = list(row.answers.select_related("feedback"))
    views = services.present_all(actor=user, answers=answers)
    return {
        "id": str(row.pk),
        "title": row.title,
        "created_at": row.created_at,
        "deleted_at": row.deleted_at,  # still kept: for a moment, or by a legal hold on what it quotes
        "answers": [
            {**view.as_dict(), "feedback_reason": getattr(getattr(answer, "feedback", None), "reason", "")}
            for answer, view in zip(answers, views, strict=True)
        ],
    }


def _keep_an_administrator(row: User) -> None:
    others = User.objects.select_for_update().filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=row.pk)
    if row.role == Role.ADMINISTRATOR and not others:
        raise Conflict("This is the last administrator; make another one first.", code="last_administrator")


def _sequences(key: int) -> list[int]:
    mine = AuditEvent.objects.filter(actor=f"user:{key}") | AuditEvent.objects.filter(
        target_type="user", target_id=str(key)
    )
    return list(mine.exclude(commitment="").order_by("seq").values_list("seq", flat=True))


def _end_sessions(key: int) -> int:
    mine = [
        session.pk for session in Session.objects.iterator() if session.get_decoded().get("_auth_user_id") == str(key)
    ]
    return Session.objects.filter(pk__in=mine).delete()[0]


def _rewrite_tables() -> None:
    """PostgreSQL keeps replaced rows until it has rewritten the table. (SQLite overwrites at once: secure_delete.)"""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        remains.rewrite(connection, _TABLES)
