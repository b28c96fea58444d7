"""Model fields whose column holds sealed bytes. Views and services read and assign plain values.

Knows: Django's way of saving and loading. Does not know: which keys; the model's method named by `sealed_by` returns
the `Ref`s for the instance that is saved. Sealed bytes name their keys, so loading needs no instance.

SQL cannot look into such a column: every lookup but `isnull` is refused by Django, and `update(field=…)` takes only the
empty value (assign and save instead). An empty value is stored as no bytes. What was sealed under a key that is
destroyed reads as empty: it is gone, wherever the row came from.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from django.db import models

from . import ring

logger = logging.getLogger(__name__)
if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class Ready(bytes):
    """Bytes that are sealed already (a migration's, say) and are stored as they are."""


class Sealed(_Field):
    """Base of the three. Migrations keep neither `sealed_by` nor `purpose`: they do not concern the schema."""

    empty_strings_allowed = False

    def __init__(self, *args: Any, sealed_by: str = "", purpose: str = "", **options: Any) -> None:
        self.sealed_by = sealed_by
        self.purpose = purpose
        super().__init__(*args, **options)

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        self.purpose = self.purpose or f"{cls._meta.label_lower}.{name}"

    def get_internal_type(self) -> str:
        return "BinaryField"

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if isinstance(value, Ready) or value is None or hasattr(value, "resolve_expression"):
            return value
        refs = getattr(model_instance, self.sealed_by)()
        if self.is_empty(value):
            ring.ensure(refs)
            return Ready()
        return Ready(ring.seal(self.encode(value), refs, self.purpose))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        if isinstance(value, Ready):
            return connection.Database.Binary(value)
        if self.is_empty(value):
            return connection.Database.Binary(b"")
        raise TypeError(f"{self.purpose} is sealed: assign it to an instance and save that, or update it to empty.")

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if value is None:
            return None
        sealed = bytes(value)
        if not sealed:
            return self.decode(b"")
        plain = ring.open_sealed(sealed, self.purpose)
        if plain is None:
            logger.warning("%s: sealed under a key that is destroyed", self.purpose)
        return self.decode(plain or b"")

    def is_empty(self, value: Any) -> bool:
        return not value

    def encode(self, value: Any) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes) -> Any:
        raise NotImplementedError


class SealedText(Sealed):
    _pyi_private_set_type: str
    _pyi_private_get_type: str

    def encode(self, value: Any) -> bytes:
        return str(value).encode("utf-8", "surrogatepass")

    def decode(self, data: bytes) -> str:
        return data.decode("utf-8", "surrogatepass")


class SealedBytes(Sealed):
    _pyi_private_set_type: bytes
    _pyi_private_get_type: bytes

    def encode(self, value: Any) -> bytes:
        return bytes(value)

    def decode(self, data: bytes) -> bytes:
        return data


class SealedJSON(Sealed):
    """JSON data; `default` (list or dict) is what the empty value reads as."""

    def encode(self, value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def decode(self, data: bytes) -> Any:
        return json.loads(data.decode("utf-8", "surrogatepass")) if data else self.get_default()
