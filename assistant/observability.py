"""Who is acting, in which request: the context that logs and audit events carry.

Knows: one context variable, set once by the middleware or a task. Does not know: users, HTTP, the database.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Context:
    """Facts about the current request or task. `actor` is "user:ID", "system" or "anonymous"; never a name."""

    request_id: str = ""
    actor: str = "anonymous"
    role: str = ""
    session: str = ""  # a digest of the session key, or "token:ID"
    origin: str = ""  # client address, or "task:NAME", "command:NAME"


_current: ContextVar[Context] = ContextVar("assistant_context", default=Context())  # noqa: B039 - frozen


def current() -> Context:
    return _current.get()


def new_request_id() -> str:
    return uuid.uuid4().hex


def amend(**changes: Any) -> None:
    """Add facts learned during the request (a token's person) to the current context; the block around it restores."""
    _current.set(replace(_current.get(), **changes))


@contextmanager
def context(**changes: Any) -> Iterator[Context]:
    """Set facts for the block: `with context(actor="user:3", role="curator"): …`; nests and restores."""
    value = replace(_current.get(), **changes)
    if not value.request_id:
        value = replace(value, request_id=new_request_id())
    token = _current.set(value)
    try:
        yield value
    finally:
        _current.reset(token)
