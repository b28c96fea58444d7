"""What every REST view shares: the acting person, cursor pages, and token scopes.

A view here parses, makes one domain call and renders. Errors rise to `problems.handle`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from assistant import errors
from assistant.accounts.models import ApiToken, User
from assistant.accounts.roles import Duty, require

from .forms import number_in

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class View(APIView):
    """A REST view. `scope_read` / `scope_write` name the token scope needed; a token without scopes has all.

    `duty` is asked before the body is read: who may not act is told so, not what is wrong with the request.
    """

    scope_read: ClassVar[str] = "read"
    scope_write: ClassVar[str] = "manage"
    duty: ClassVar[Duty | None] = None

    @property
    def actor(self) -> User:
        user = self.request.user
        if not isinstance(user, User):
            raise errors.NotAuthenticated
        return user

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        token = request.auth
        needed = self.scope_read if request.method in SAFE else self.scope_write
        if isinstance(token, ApiToken) and token.scopes and needed not in token.scopes:
            raise errors.PermissionRefused(f"This token lacks the scope “{needed}”.")
        if self.duty is not None:
            require(self.actor, self.duty)


class CursorPage(CursorPagination):
    """`?cursor=…&page_size=…`; answers {"next", "previous", "results"}. A bad cursor is a 404 problem."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering: Any = "-created_at"

    def get_page_size(self, request: Request) -> int:
        size = number_in(request, "page_size")
        if size is not None and size > self.max_page_size:
            raise errors.Invalid("The page is too large.", fields={"page_size": [f"At most {self.max_page_size}."]})
        return size or self.page_size


class NewestFirst(CursorPage):
    ordering = "-pk"


class Paged(serializers.Serializer[Any]):
    # What `CursorPage` answers; a subclass says what `results` are. (A docstring would enter the contract of each.)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
