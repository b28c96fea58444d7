"""Questions and passages on their way between web and worker, sealed, so that Redis, its append-only file and its
backups hold no readable text. Knows: one key derived from the secret key. Does not know: what is inside.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


@lru_cache(maxsize=1)
def _box(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"assistant.transport\x00" + secret.encode()).digest()))


def seal(value: Any) -> str:
    """JSON data, encrypted and authenticated."""
    return _box(settings.SECRET_KEY).encrypt(json.dumps(value, ensure_ascii=False).encode()).decode("ascii")


def unseal(text: str, *, seconds: int) -> Any:
    """The data again. Raises ValueError for anything altered, foreign, or older than `seconds`."""
    try:
        return json.loads(_box(settings.SECRET_KEY).decrypt(text.encode("ascii"), ttl=seconds))
    except InvalidToken as error:
        raise ValueError("not sealed here, or too old") from error
