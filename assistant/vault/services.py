"""What an operator does with keys: count, rotate, carry them in a file of their own. Knows the table and the master
key. Does not know: what is sealed with them, nor the audit log (the command records).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count

from . import envelope, master, ring
from .models import WrappedKey

_BATCH = 500


def counts() -> dict[str, int]:
    """Living keys by kind, and "destroyed"."""
    living = WrappedKey.objects.filter(destroyed_at=None).order_by().values_list("kind").annotate(count=Count("pk"))
    return {**dict(living), "destroyed": WrappedKey.objects.filter(destroyed_at__isnull=False).count()}


def check() -> None:
    """Unwrap one root. Raises MasterKeyMissing, or Damaged."""
    row = WrappedKey.objects.filter(parent=None, destroyed_at=None).order_by("created_at").first()
    if row is not None:
        ring.secret_of(row)


def rotate() -> tuple[int, int]:
    """A new secret for every root under the present master key, and every leaf wrapped anew: (roots, leaves).

    What is sealed stays as it is. Whatever copy of a wrapped key was left anywhere (a replaced row in a table or a
    log of the database, an older file of keys) opens nothing once the previous master key is gone. With the generated
    file a new master key is made first and the previous destroyed last; with VAULT_KEY in the environment both are
    the operator's. Interrupted, it goes on when run again.
    """
    if master.in_file():
        with transaction.atomic():
            ring.rotation_lock(exclusive=True)
            master.begin_rotation()
    now = master.current()
    roots = leaves = 0
    for pk in list(_roots().values_list("pk", flat=True)):
        with transaction.atomic():
            root = _roots().select_for_update().filter(pk=pk).first()
            if root is not None and envelope.names(bytes(root.wrapped)) != [now.id]:
                leaves += _renew(root, now)
                roots += 1
    if master.in_file():
        master.end_rotation()
    return roots, leaves


def export() -> Iterator[dict[str, Any]]:
    """Every row as plain data; secrets stay wrapped."""
    for row in WrappedKey.objects.order_by("parent_id", "created_at", "pk").iterator():
        yield {
            "id": str(row.pk),
            "kind": row.kind,
            "owner": row.owner,
            "parent": str(row.parent_id) if row.parent_id else None,
            "wrapped": base64.b64encode(bytes(row.wrapped)).decode("ascii"),
            "created_at": row.created_at.isoformat(),
            "destroyed_at": row.destroyed_at.isoformat() if row.destroyed_at else None,
        }


def load(rows: list[dict[str, Any]]) -> int:
    """Take over an exported table; how many rows. Raises ValueError when this installation has keys of its own."""
    if WrappedKey.objects.exists():
        raise ValueError("This installation has keys already; load a file of keys into a restored, empty one.")
    with transaction.atomic():
        for batch in (
            [row for row in rows if row["parent"] is None],
            [row for row in rows if row["parent"] is not None],
        ):
            WrappedKey.objects.bulk_create(map(_row, batch), batch_size=_BATCH)
    check()
    return len(rows)


def _roots() -> Any:
    return WrappedKey.objects.filter(parent=None, destroyed_at=None)


def _renew(root: WrappedKey, under: envelope.DataKey) -> int:
    old = envelope.DataKey(root.pk, ring.secret_of(root))
    new = envelope.DataKey(root.pk, envelope.new_secret())
    children = list(root.children.filter(destroyed_at=None).select_for_update())
    for child in children:
        secret = envelope.unwrap(bytes(child.wrapped), name=child.pk, under=old)
        child.wrapped = envelope.wrap(secret, name=child.pk, under=new)
    WrappedKey.objects.bulk_update(children, ["wrapped"], batch_size=_BATCH)
    root.wrapped = envelope.wrap(new.secret, name=root.pk, under=under)
    root.save(update_fields=["wrapped"])
    return len(children)


def _row(data: dict[str, Any]) -> WrappedKey:
    return WrappedKey(
        pk=UUID(data["id"]),
        kind=data["kind"],
        owner=data["owner"],
        parent_id=UUID(data["parent"]) if data["parent"] else None,
        wrapped=base64.b64decode(data["wrapped"]),
        created_at=datetime.fromisoformat(data["created_at"]),
        destroyed_at=datetime.fromisoformat(data["destroyed_at"]) if data["destroyed_at"] else None,
    )
