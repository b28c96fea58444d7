"""Who calls the REST interface: a bearer token or a browser session. Knows HTTP headers; rights are the domain's."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from assistant import observability
from assistant.accounts import services
from assistant.accounts.models import ApiToken, User


def bearer_token(header: str) -> str | None:
    """The token of an Authorization header, or None when the header is of another kind."""
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


class BearerAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer pa_…`. A wrong, expired or revoked token is 401, never anonymous."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        raw = bearer_token(request.headers.get("Authorization", ""))
        if raw is None:
            return None
        token = services.authenticate_token(raw)
        if token is None:
            raise exceptions.AuthenticationFailed
        observability.amend(actor=f"user:{token.user_id}", role=token.user.role, session=f"token:{token.pk}")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="assistant"'


class SessionAuthentication(authentication.SessionAuthentication):
    """The browser's session, with CSRF protection; 401 rather than 403 when it is missing."""

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="assistant"'


class _BearerScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class _SessionScheme(OpenApiAuthenticationExtension):
    target_class = SessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
