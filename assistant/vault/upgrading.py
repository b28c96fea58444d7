"""From readable columns to sealed ones, for installations made before the vault. Called by migrations.

Batch by batch, each in its own transaction, sealed and cleared together: when it is interrupted, the next `migrate`
goes on where it stopped. Knows historical models; nothing of the present ones but their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction

from . import ring
from .fields import Ready
from .ring import Ref

PREFIX = "plain_"
_BATCH = 200
_EMPTY: dict[str, Any] = {"SealedText": "", "SealedJSON": [], "SealedBytes": b""}

Refs = Callable[[Any], Sequence[Ref]]


def seal_columns(model: Any, columns: Mapping[str, Refs], *, related: Sequence[str] = ()) -> int:
    """Seal `plain_NAME` into NAME for every row, and empty it; how many rows were touched."""
    touched, last = 0, None
    names = [*columns, *(PREFIX + name for name in columns)]
    rows = model.objects.order_by("pk").select_related(*related)
    while batch := list((rows if last is None else rows.filter(pk__gt=last))[:_BATCH]):
        last = batch[-1].pk
        with transaction.atomic():
            changed = [row for row in batch if _seal_row(row, columns)]
            if changed:
                model.objects.bulk_update(changed, names)
        touched += len(changed)
    return touched


def _seal_row(row: Any, columns: Mapping[str, Refs]) -> bool:
    changed = False
    for name, refs_of in columns.items():
        plain, refs = getattr(row, PREFIX + name), refs_of(row)
        field = row._meta.get_field(name)
        if field.is_empty(plain):
            ring.ensure(refs)
            sealed = getattr(row, name)  # done before, or empty
            setattr(row, name, Ready(ring.seal(field.encode(sealed), refs, field.purpose)) if sealed else Ready())
            continue
        setattr(row, name, Ready(ring.seal(field.encode(plain), refs, field.purpose)))
        setattr(row, PREFIX + name, _EMPTY[type(field).__name__])
        changed = True
    return changed
