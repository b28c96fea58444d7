"""The arithmetic of the audit chain. Knows: bytes, hashes, trees. Does not know: Django, the database, who acts.

* canonical encoding: RFC 8785 (JSON Canonicalization Scheme), for the values that `normalise` lets through
* link: SHA-256 over the canonical event, which contains the digest of the event before it
* MAC: HMAC-SHA-256 (RFC 2104) over that digest, so that nobody without the key can write a consistent chain
* tree: Merkle tree hash, inclusion proof and its check after RFC 6962 section 2.1 / RFC 9162 section 2.1.3
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

GENESIS = "0" * 64
_EVENT_DOMAIN = b"assistant.audit.event\n"
_LARGEST_INTEGER = 2**53 - 1  # beyond it JSON readers disagree (RFC 8785 section 3.2.2.3)
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Record(TypedDict):
    """One event as it is hashed and exported; `at` in RFC 3339 with microseconds and Z."""

    schema: int
    seq: int
    at: str
    request_id: str
    actor: str
    role: str
    session: str
    origin: str
    action: str
    target_type: str
    target_id: str
    outcome: str
    detail: dict[str, Any]
    commitment: str
    previous: str


def normalise(value: Any) -> Any:
    """`value` in the form in which every database and JSON reader gives it back.

    Floats are rounded to four decimals, whole ones become integers; tuples and sets become lists; NUL and lone
    surrogates, which PostgreSQL refuses, become U+FFFD. Raises TypeError or ValueError for what JSON cannot carry.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.isascii():
            return value.replace("\0", "\ufffd")
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int):
        if abs(value) > _LARGEST_INTEGER:
            raise ValueError(f"{value} is too large for a record")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a record cannot hold infinity or NaN")
        rounded = round(value, 4)
        return normalise(int(rounded)) if rounded.is_integer() else rounded
    if isinstance(value, dict):
        if not all(isinstance(key, str) and key.isascii() for key in value):
            raise TypeError("keys of a record are ASCII strings")
        return {normalise(key): normalise(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(normalise(item) for item in value)
    raise TypeError(f"a record cannot hold {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a normalised value."""
    return _ENCODER.encode(value).encode()


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with exactly six decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(record: Record) -> str:
    """The link: 64 hexadecimal digits over everything in the record, the digest before it included."""
    return hashlib.sha256(_EVENT_DOMAIN + canonical(record)).hexdigest()


def mac(key: bytes, event_digest: str) -> str:
    """Keyed proof that the holder of the key wrote this event."""
    return hmac.digest(key, bytes.fromhex(event_digest), "sha256").hex()


# --- tree ---


def leaf_hash(event_digest: str) -> bytes:
    return hashlib.sha256(b"\x00" + bytes.fromhex(event_digest)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(digests: Iterable[str]) -> str:
    """Root over the events' digests; streams, in memory proportional to the tree's height."""
    stack: list[tuple[int, bytes]] = []  # (height, hash) of complete subtrees, left to right
    for event_digest in digests:
        height, hashed = 0, leaf_hash(event_digest)
        while stack and stack[-1][0] == height:
            hashed = _node(stack.pop()[1], hashed)
            height += 1
        stack.append((height, hashed))
    if not stack:
        return hashlib.sha256(b"").hexdigest()
    _height, root = stack.pop()
    while stack:
        root = _node(stack.pop()[1], root)
    return root.hex()


class Tree:
    """All levels over a run of digests, for many proofs: memory 64 bytes per event."""

    def __init__(self, digests: Sequence[str]) -> None:
        if not digests:
            raise ValueError("a tree needs an event")
        self.levels: list[list[bytes]] = [[leaf_hash(item) for item in digests]]
        while len(below := self.levels[-1]) > 1:
            level = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            if len(below) % 2:
                level.append(below[-1])  # carried up: the same tree as RFC 6962's largest-power-of-two split
            self.levels.append(level)

    @property
    def root(self) -> str:
        return self.levels[-1][0].hex()

    def proof(self, index: int) -> list[str]:
        """The hashes that lead from leaf `index` to the root, lowest first."""
        if not 0 <= index < len(self.levels[0]):
            raise IndexError(index)
        path = []
        for level in self.levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling].hex())
            index //= 2
        return path


def included(event_digest: str, *, index: int, size: int, proof: Sequence[str], root: str) -> bool:
    """Whether the proof leads from the event at `index` of `size` to `root` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last = index, size - 1
    hashed = leaf_hash(event_digest)
    for item in proof:
        if last == 0:
            return False
        sibling = bytes.fromhex(item)
        if node % 2 or node == last:
            hashed = _node(sibling, hashed)
            while node % 2 == 0 and node != 0:
                node //= 2
                last //= 2
        else:
            hashed = _node(hashed, sibling)
        node //= 2
        last //= 2
    return last == 0 and hmac.compare_digest(hashed.hex(), root)
