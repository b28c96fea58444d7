"""The keys this process holds, and what the rest of the product calls: seal, open, destroy.

Knows: which row wraps which key, and how long an unwrapped leaf stays in memory. Does not know: what is sealed.

Two rules keep data from being sealed under a key that is not there. A key made in a transaction is shared with other
transactions only when that one has committed (`_Made` travels with the connection's on-commit list, so that a rollback,
of a savepoint too, forgets it). And only whoever makes a document or a conversation makes its key: for everybody else
a missing key is `KeyDestroyed`, never a new key.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from . import envelope, master
from .envelope import DataKey
from .errors import KeyDestroyed
from .models import WrappedKey

_KEEP_SECONDS = 300.0
_KEEP = 20_000
_AT_ONCE = 500
_LOCK = 0x7661756C


@dataclass(frozen=True, slots=True)
class Ref:
    """Names a leaf: of what, whose. With `root` (kind, owner) the leaf may be made when it is not there yet."""

    kind: str
    owner: str
    root: tuple[str, str] | None = field(default=None, compare=False)


class _Cache:
    """Unwrapped leaves by id and by owner, for some minutes; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: OrderedDict[UUID, tuple[float, DataKey]] = OrderedDict()
        self._by_owner: dict[tuple[str, str], UUID] = {}
        self._owner_of: dict[UUID, tuple[str, str]] = {}
        self._openers: dict[bytes, tuple[float, envelope.Opener]] = {}  # the same keys, found without making an UUID

    def by_id(self, name: UUID) -> DataKey | None:
        found = self._by_id.get(name)
        return found[1] if found and found[0] > time.monotonic() else None

    def opener(self, name: bytes) -> envelope.Opener | None:
        found = self._openers.get(name)
        return found[1] if found and found[0] > time.monotonic() else None

    def by_owner(self, kind: str, owner: str) -> DataKey | None:
        name = self._by_owner.get((kind, owner))
        return self.by_id(name) if name else None

    def put(self, kind: str, owner: str, key: DataKey) -> None:
        with self._lock:
            now = time.monotonic()
            until = now + _KEEP_SECONDS
            self._by_id[key.id] = (until, key)
            self._openers[key.id.bytes] = (until, envelope.opener(key))
            self._by_id.move_to_end(key.id)
            self._by_owner[kind, owner] = key.id
            self._owner_of[key.id] = (kind, owner)
            # In order of time: what is over goes at once, so that neither secrets nor memory pile up.
            while self._by_id:
                name, (ends, _) = next(iter(self._by_id.items()))
                if ends > now and len(self._by_id) <= _KEEP:
                    break
                self._forget(name)

    def drop(self, names: Iterable[UUID]) -> None:
        with self._lock:
            for name in names:
                self._forget(name)

    def clear(self) -> None:
        with self._lock:
            self._by_id.clear()
            self._openers.clear()
            self._by_owner.clear()
            self._owner_of.clear()

    def _forget(self, name: UUID) -> None:
        self._by_id.pop(name, None)
        self._openers.pop(name.bytes, None)
        owner = self._owner_of.pop(name, None)
        if owner and self._by_owner.get(owner) == name:
            del self._by_owner[owner]


_cache = _Cache()


class _Made:
    """A key made in the present transaction; called when it commits."""

    def __init__(self, ref: Ref, key: DataKey) -> None:
        self.ref = ref
        self.key = key

    def __call__(self) -> None:
        _cache.put(self.ref.kind, self.ref.owner, self.key)


def seal(data: bytes, refs: Sequence[Ref], purpose: str) -> bytes:
    """Sealed under every key named. Raises KeyDestroyed."""
    return envelope.seal(data, [_leaf(ref) for ref in dict.fromkeys(refs)], purpose.encode())


def secret(ref: Ref) -> bytes:
    """The key itself, for files that are sealed piece by piece. Raises KeyDestroyed."""
    return _leaf(ref).secret


def ensure(refs: Iterable[Ref]) -> None:
    """Make the keys that may be made and are not there yet."""
    for ref in refs:
        if ref.root:
            _leaf(ref)


def open_sealed(sealed: bytes, purpose: str) -> bytes | None:
    """The data, or None when one of its keys was destroyed: then nobody can read it any more. Raises Damaged for
    changed bytes, MasterKeyMissing when the secret is not the one that wrapped the keys."""
    opener = _cache.opener(envelope.single_name(sealed))
    if opener is not None:  # nearly always: one key, known here
        return opener(sealed, purpose.encode())
    names = envelope.names(sealed)
    keys = [_cache.by_id(name) or _made_here(name) for name in names]
    if None in keys:
        _load(WrappedKey.objects.filter(pk__in=[name for name, key in zip(names, keys, strict=True) if key is None]))
        keys = [key or _cache.by_id(name) for name, key in zip(names, keys, strict=True)]
    found = [key for key in keys if key is not None]
    return envelope.open_sealed(sealed, found, purpose.encode()) if len(found) == len(names) else None


def load(kind: str, owners: Iterable[object]) -> None:
    """Fetch many keys in one query, before many rows are opened."""
    made = {made.ref.owner for made in _made() if made.ref.kind == kind}
    wanted = {str(owner) for owner in owners} - made
    missing = [owner for owner in wanted if _cache.by_owner(kind, owner) is None]
    for start in range(0, len(missing), _AT_ONCE):
        _load(WrappedKey.objects.filter(kind=kind, owner__in=missing[start : start + _AT_ONCE]))


def destroy(kind: str, owners: Iterable[object]) -> int:
    """Destroy the keys of these owners, and those wrapped under them; how many. What they sealed is then unreadable
    wherever it lies. In the caller's transaction."""
    living = WrappedKey.objects.filter(destroyed_at=None)
    roots = list(living.filter(kind=kind, owner__in=[str(owner) for owner in owners]).values_list("pk", flat=True))
    names = [*roots, *living.filter(parent__in=roots).values_list("pk", flat=True)]
    WrappedKey.objects.filter(pk__in=names).update(wrapped=b"", destroyed_at=timezone.now())
    transaction.on_commit(lambda: _cache.drop(names))
    return len(names)


def destroyed(kind: str) -> list[str]:
    """The owners whose key of this kind was destroyed."""
    rows = WrappedKey.objects.filter(kind=kind, destroyed_at__isnull=False)
    return list(rows.order_by("created_at").values_list("owner", flat=True))


def mark_erased(kind: str, owner: object) -> int:
    """Destroy a root's key, and leave the mark even when there never was one; how many keys went."""
    gone = destroy(kind, [owner])
    if not gone:
        WrappedKey.objects.get_or_create(
            kind=kind, owner=str(owner), defaults={"wrapped": b"", "destroyed_at": timezone.now()}
        )
    return gone


def rehang(kind: str, owner: object, root: tuple[str, str]) -> None:
    """Wrap a leaf under another root (a document moved to another collection); what it sealed stays as it is."""
    with transaction.atomic():
        parent, under = _root(root)
        row = (
            WrappedKey.objects.select_for_update(of=("self",)).select_related("parent").get(kind=kind, owner=str(owner))
        )
        row.wrapped = envelope.wrap(secret_of(row), name=row.pk, under=under)
        row.parent = parent
        row.save(update_fields=["wrapped", "parent"])


def forget() -> None:
    """Empty this process's memory of keys."""
    _cache.clear()


def _leaf(ref: Ref) -> DataKey:
    if key := _cache.by_owner(ref.kind, ref.owner) or _made_for(ref):
        return key
    row = WrappedKey.objects.select_related("parent").filter(kind=ref.kind, owner=ref.owner).first()
    if row is not None:
        if row.destroyed_at:
            raise KeyDestroyed(f"the key of this {ref.kind} is destroyed")
        key = DataKey(row.pk, secret_of(row))
        _cache.put(ref.kind, ref.owner, key)
        return key
    if ref.root is None:
        raise KeyDestroyed(f"the key of this {ref.kind} is gone")
    return _make(ref, ref.root)


def _make(ref: Ref, root: tuple[str, str]) -> DataKey:
    key = DataKey(uuid4(), envelope.new_secret())
    with transaction.atomic():
        parent, under = _root(root)  # locks the root: two makers of one leaf follow each other
        row = WrappedKey.objects.select_related("parent").filter(kind=ref.kind, owner=ref.owner).first()
        if row is not None:
            return DataKey(row.pk, secret_of(row))
        wrapped = envelope.wrap(key.secret, name=key.id, under=under)
        WrappedKey.objects.create(pk=key.id, kind=ref.kind, owner=ref.owner, parent=parent, wrapped=wrapped)
        transaction.on_commit(_Made(ref, key))
    return key


def _root(name: tuple[str, str]) -> tuple[WrappedKey, DataKey]:
    """The root's row, locked until the transaction ends, and its key; made when it is not there yet."""
    kind, owner = name
    found = WrappedKey.objects.filter(kind=kind, owner=owner).first()
    if found is None:
        rotation_lock(exclusive=False)
        fresh = uuid4()
        wrapped = envelope.wrap(envelope.new_secret(), name=fresh, under=master.current())
        found, _ = WrappedKey.objects.get_or_create(kind=kind, owner=owner, defaults={"pk": fresh, "wrapped": wrapped})
    row = WrappedKey.objects.select_for_update().get(pk=found.pk)  # as it is now, should a rotation be under way
    if row.destroyed_at:
        raise KeyDestroyed(f"the key of this {kind} is destroyed")
    return row, DataKey(row.pk, secret_of(row))


def rotation_lock(*, exclusive: bool) -> None:
    """Until the transaction ends: whoever makes a root does not meet whoever changes the master key. (SQLite has one
    writer anyway.)"""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock{'' if exclusive else '_shared'}(%s)", [_LOCK])


def secret_of(row: WrappedKey) -> bytes:
    """A row's secret, unwrapped now; its parent must be loaded with it."""
    wrapped = bytes(row.wrapped)
    if row.parent is None:
        return envelope.unwrap(wrapped, name=row.pk, under=master.named(envelope.names(wrapped)[0]))
    return envelope.unwrap(wrapped, name=row.pk, under=DataKey(row.parent.pk, secret_of(row.parent)))


def _load(rows: QuerySet[WrappedKey]) -> None:
    """Unwrap rows into memory; each root once."""
    roots: dict[UUID, DataKey] = {}
    for row in rows.select_related("parent"):
        if row.parent is None or row.destroyed_at:  # nothing is sealed under a root
            continue
        root = row.parent.pk
        if root not in roots:
            roots[root] = DataKey(root, secret_of(row.parent))
        secret = envelope.unwrap(bytes(row.wrapped), name=row.pk, under=roots[root])
        _cache.put(row.kind, row.owner, DataKey(row.pk, secret))


def _made_for(ref: Ref) -> DataKey | None:
    return next((made.key for made in _made() if made.ref == ref), None)


def _made_here(name: UUID) -> DataKey | None:
    return next((made.key for made in _made() if made.key.id == name), None)


def _made() -> list[_Made]:
    return [entry[1] for entry in connection.run_on_commit if isinstance(entry[1], _Made)]
