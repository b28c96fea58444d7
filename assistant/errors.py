"""The product's errors, and how each is told to a client.

Knows: codes, HTTP status, whether a retry helps, whether somebody is turned away. Does not know: HTTP rendering (`api`,
`web` and `middleware` each have one handler that turns these into problem+json or a page).

    AssistantError
    ├── Invalid               400  the request cannot be understood or breaks a rule; `fields` says where
    ├── NotAuthenticated      401
    ├── PermissionRefused     403  the role lacks a duty (never used for objects: those are NotFound)
    ├── NotFound              404  absent or forbidden: the same words for both
    ├── Conflict              409  the state does not allow it
    │   └── SecondPerson      409  what nobody may do alone was tried alone
    ├── TooLarge              413
    ├── Unsupported           415
    ├── TooMany               429  quota, rate or a full queue; `retry_after` seconds
    └── Unavailable           503  a part is down; `retry_after` seconds
        ├── AuditUnavailable  503  no record, no answer
        └── DatabaseUnavailable  503  full, stopped or too busy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class AssistantError(Exception):
    """Base of every expected failure. `detail` is one sentence for people that says what to do."""

    code = "error"
    title = "Something went wrong"
    status = 500
    denial = False  # somebody was turned away, which the audit log is told (see `middleware`)

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        retry_after: int | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code
        self.retry_after = retry_after
        self.fields = {name: list(messages) for name, messages in (fields or {}).items()}

    @property
    def retryable(self) -> bool:
        return self.retry_after is not None


class Invalid(AssistantError):
    code, title, status = "invalid", "The request is not valid", 400


class NotAuthenticated(AssistantError):
    code, title, status = "not_authenticated", "Sign in first", 401
    denial = True


class PermissionRefused(AssistantError):
    code, title, status = "permission_refused", "Your role does not include this", 403
    denial = True


class NotFound(AssistantError):
    code, title, status = "not_found", "There is nothing here", 404
    denial = True  # absent or forbidden: the log cannot tell them apart either, or its delay would


class Conflict(AssistantError):
    code, title, status = "conflict", "The current state does not allow this", 409


class SecondPerson(Conflict):
    code, title = "second_person", "This takes two people"
    denial = True


class TooLarge(AssistantError):
    code, title, status = "too_large", "The upload is too large", 413


class Unsupported(AssistantError):
    code, title, status = "unsupported_media_type", "This kind of file cannot be read", 415


class TooMany(AssistantError):
    code, title, status = "too_many_requests", "Too many requests", 429
    denial = True


class Unavailable(AssistantError):
    code, title, status = "unavailable", "A part of the system is not available", 503


class AuditUnavailable(Unavailable):
    code, title = "audit_unavailable", "The audit log cannot be written, so nothing is answered"


class DatabaseUnavailable(Unavailable):
    code, title = "database_unavailable", "The database does not answer or cannot be written; nothing was changed"
