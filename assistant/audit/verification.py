"""Checks a chain from its records alone and names the first bad one.

Knows: records in order, checkpoints, keys. Does not know: Django, where records come from (database or exported file).
Streams: memory does not grow with the number of events.

    gap         an event is missing, or there is one where none may be
    link        an event does not continue the one before it
    content     an event's fields, or its text kept apart, are not what was recorded
    mac         an event was not written with the log's key
    clock       an event is older than the one before it and the log does not say that the clock was moved
    truncation  the log ends before what a checkpoint or the head file has seen
    fork        a checkpoint, or a second event with the same number, tells another history
    checkpoint  a checkpoint's signature is wrong
    segment     a sealed segment's tree does not match its events
    pruning     a statement about removed segments is not ours, or does not follow the one before it
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from . import chain, keys

CLOCK_MOVED = "clock_moved_back_ms"  # in an event's detail: the writer noticed and says so


@dataclass(frozen=True, slots=True)
class Link:
    """One event as read back: what was hashed, and the two proofs."""

    record: chain.Record
    digest: str
    mac: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement that the event `seq` had this digest at this time. `signature` empty: an unsigned head."""

    seq: int
    at: str
    digest: str
    signature: str = ""
    origin: str = "database"

    @property
    def statement(self) -> dict[str, int | str]:
        return {"seq": self.seq, "at": self.at, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Segment:
    first: int
    last: int
    root: str


@dataclass(frozen=True, slots=True)
class Pruning:
    """A signed statement that a sealed segment was removed: the chain goes on after its last event's digest."""

    first: int
    last: int
    digest: str
    at: str
    requested_by: str
    approved_by: str
    signature: str = ""

    @property
    def statement(self) -> dict[str, int | str]:
        return {
            "pruned": self.last,
            "first": self.first,
            "digest": self.digest,
            "at": self.at,
            "requested_by": self.requested_by,
            "approved_by": self.approved_by,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    seq: int
    kind: str
    words: str


@dataclass(slots=True)
class Report:
    """What was found. `finding` is the first bad record; None when everything holds."""

    events: int = 0
    first: int = 0
    last: int = 0
    digest: str = chain.GENESIS
    checkpoints: int = 0
    segments: int = 0
    contents: int = 0
    prunings: int = 0
    finding: Finding | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.finding is None


def verify(
    links: Iterable[Link],
    *,
    mac_key: bytes | None,
    public_key: str,
    checkpoints: Sequence[Checkpoint] = (),
    segments: Sequence[Segment] = (),
    prunings: Sequence[Pruning] = (),
) -> Report:
    """Walk the chain from its beginning, or from where signed prunings say that it begins now. Stops at the first bad
    record.

    `mac_key` None: an outsider checks links, signatures and trees, not the keyed proofs.
    """
    first, previous = 1, chain.GENESIS
    for pruning in prunings:
        if pruning.first != first or not keys.signed(public_key, pruning.statement, pruning.signature):
            words = "the statement about removed segments is not this log's"
            return Report(first=first, last=first - 1, finding=Finding(pruning.first, "pruning", words))
        first, previous = pruning.last + 1, pruning.digest
    report = Report(first=first, last=first - 1, digest=previous, prunings=len(prunings))
    if prunings:
        report.notes.append(f"events 1 to {first - 1} were removed by two people after their time")
    for checkpoint in checkpoints:
        if checkpoint.signature and not keys.signed(public_key, checkpoint.statement, checkpoint.signature):
            report.finding = Finding(checkpoint.seq, "checkpoint", f"bad signature ({checkpoint.origin})")
            return report
    seen: dict[int, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        seen.setdefault(checkpoint.seq, []).append(checkpoint)
    trees = _Trees([segment for segment in segments if segment.first >= first])
    expected_at = ""
    for link in links:
        report.finding = (
            _bad(link, report, expected_at, mac_key)
            or _forked(link, seen.get(link.record["seq"], ()))
            or trees.add(link.record["seq"], link.digest)
        )
        if report.finding:
            return report
        if CLOCK_MOVED in link.record["detail"]:
            report.notes.append(f"event {link.record['seq']}: the clock was moved back")
        report.events += 1
        report.last, report.digest, expected_at = link.record["seq"], link.digest, link.record["at"]
    report.checkpoints, report.segments = len(checkpoints), trees.checked
    beyond = max((checkpoint for checkpoint in checkpoints), key=lambda item: item.seq, default=None)
    if beyond is not None and beyond.seq > report.last:
        words = f"the log ends at {report.last}, the {beyond.origin} has seen {beyond.seq}"
        report.finding = Finding(report.last + 1, "truncation", words)
    elif trees.unfinished > report.last:
        words = f"the log ends at {report.last}, a sealed segment reaches {trees.unfinished}"
        report.finding = Finding(report.last + 1, "truncation", words)
    return report


def _bad(link: Link, report: Report, expected_at: str, mac_key: bytes | None) -> Finding | None:
    record = link.record
    seq = record["seq"]
    if seq <= report.last:
        return Finding(seq, "fork", f"event {seq} comes twice")
    if seq != report.last + 1:
        return Finding(report.last + 1, "gap", f"event {report.last + 1} is missing; the next one is {seq}")
    if not hmac.compare_digest(chain.digest(record), link.digest):
        return Finding(seq, "content", "the fields do not give the recorded digest")
    if not hmac.compare_digest(record["previous"], report.digest):
        return Finding(seq, "link", "it does not continue the event before it")
    if mac_key is not None and not hmac.compare_digest(chain.mac(mac_key, link.digest), link.mac):
        return Finding(seq, "mac", "it was not written with this log's key")
    if record["at"] < expected_at and CLOCK_MOVED not in record["detail"]:
        return Finding(seq, "clock", f"{record['at']} is before {expected_at}")
    return None


def _forked(link: Link, checkpoints: Iterable[Checkpoint]) -> Finding | None:
    for checkpoint in checkpoints:
        if checkpoint.digest != link.digest:
            return Finding(checkpoint.seq, "fork", f"the {checkpoint.origin} saw another event under this number")
    return None


class _Trees:
    """Rebuilds the trees of sealed segments while the events pass."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.waiting = sorted(segments, key=lambda item: item.first, reverse=True)
        self.digests: list[str] = []
        self.checked = 0

    @property
    def unfinished(self) -> int:
        return max((segment.last for segment in self.waiting), default=0)

    def add(self, seq: int, event_digest: str) -> Finding | None:
        if not self.waiting or seq < self.waiting[-1].first:
            return None
        self.digests.append(event_digest)
        if seq < self.waiting[-1].last:
            return None
        segment = self.waiting.pop()
        root, self.digests = chain.merkle_root(self.digests), []
        self.checked += 1
        if root != segment.root:
            return Finding(segment.first, "segment", f"the tree over {segment.first} to {segment.last} differs")
        return None
