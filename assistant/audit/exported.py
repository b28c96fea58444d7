"""Verifies an exported log on any machine: `python -m assistant.audit.exported FILE [--public-key HEX]`.

Knows: the JSON Lines that `exports` writes. Does not know: Django, a database, the secret key. Without a public key
given by hand it can only say that the file is consistent with the key it names: compare the fingerprint.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import chain, keys
from .verification import Checkpoint, Finding, Link, Pruning, Report, Segment, verify

_RECORD = tuple(chain.Record.__annotations__)


def verify_file(path: Path, *, public_key: str = "", mac_key: bytes | None = None) -> Report:
    """Streams the file. Raises ValueError when it is no export of ours; OSError when it cannot be read."""
    with path.open(encoding="utf-8", newline="\n") as file:
        lines = _objects(file)
        header = next(lines, None)
        if header is None or header.get("type") != "header" or header.get("format") != "assistant-audit":
            raise ValueError(f"{path} is not an exported audit log")
        reader = _Reader(lines)
        key = public_key or str(header["public_key"])
        report = _selection(reader, key) if header["selection"] else _whole(reader, key, mac_key)
    if not public_key:
        report.notes.append(f"the key is the file's own, fingerprint {keys.fingerprint(key)}: compare it")
    return report


def _objects(file: Any) -> Iterator[dict[str, Any]]:
    for line in file:
        try:
            item = json.loads(line)
        except ValueError:
            item = {}
        # A torn or foreign line counts as nothing; what is missing then shows as a gap or a truncation.
        yield item if isinstance(item, dict) and line.endswith("\n") else {}


class _Reader:
    """The file's parts: what comes before the events, the events as a stream, the trailer when they are over."""

    def __init__(self, lines: Iterator[dict[str, Any]]) -> None:
        self.checkpoints: list[Checkpoint] = []
        self.segments: list[Segment] = []
        self.prunings: list[Pruning] = []
        self.trees: list[list[Any]] = []
        self.trailer: dict[str, Any] | None = None
        self.events = 0
        self.lines = lines
        self.waiting: dict[str, Any] | None = None
        for item in lines:
            kind = item.get("type")
            if kind == "checkpoint":
                self.checkpoints.append(
                    Checkpoint(item["seq"], item["at"], item["digest"], item["signature"], "export")
                )
            elif kind == "segment":
                self.segments.append(Segment(item["first"], item["last"], item["root"]))
            elif kind == "pruning":
                names = ("first", "pruned", "digest", "at", "requested_by", "approved_by", "signature")
                self.prunings.append(Pruning(*(item[name] for name in names)))
            elif kind == "tree":
                self.trees.append([item["first"], item["last"], item["root"]])
            else:
                self.waiting = item
                break

    def items(self) -> Iterator[dict[str, Any]]:
        item = self.waiting
        while item is not None:
            if item.get("type") == "trailer":
                self.trailer = item
                return
            if item.get("type") == "event":
                self.events += 1
                yield item
            item = next(self.lines, None)

    def links(self) -> Iterator[Link]:
        return (_link(item) for item in self.items())


def _link(item: dict[str, Any]) -> Link:
    record: Any = {name: item.get(name) for name in _RECORD}
    record["seq"] = int(record["seq"] or 0)
    record["detail"] = record["detail"] if isinstance(record["detail"], dict) else {}
    for name in ("at", "previous"):
        record[name] = str(record[name])
    return Link(record, str(item.get("digest")), str(item.get("mac")))


def _whole(reader: _Reader, key: str, mac_key: bytes | None) -> Report:
    report = verify(
        reader.links(),
        mac_key=mac_key,
        public_key=key,
        checkpoints=reader.checkpoints,
        segments=reader.segments,
        prunings=reader.prunings,
    )
    if report.finding is None:
        statement = {"events": report.events, "last": report.last, "digest": report.digest}
        report.finding = _bad_trailer(reader.trailer, key, report.last, statement)
    return report


def _selection(reader: _Reader, key: str) -> Report:
    report = Report()
    trees = {first: (last, root) for first, last, root in reader.trees}
    for item in reader.items():
        link = _link(item)
        seq, first = link.record["seq"], item.get("tree")
        if chain.digest(link.record) != link.digest:
            report.finding = Finding(seq, "content", "the fields do not give the recorded digest")
        elif seq <= report.last:
            report.finding = Finding(seq, "fork", f"event {seq} comes twice or out of order")
        elif not isinstance(first, int) or first not in trees:
            report.finding = Finding(seq, "segment", "it belongs to no tree of this file")
        else:
            last, root = trees[first]
            facts = {"index": seq - first, "size": last - first + 1, "root": root}
            if not chain.included(link.digest, proof=item.get("proof") or [], **facts):
                report.finding = Finding(seq, "segment", "its proof does not lead to the tree's root")
        if report.finding:
            return report
        report.events += 1
        report.first, report.last, report.digest = report.first or seq, seq, link.digest
    report.segments = len(trees)
    report.finding = _bad_trailer(reader.trailer, key, report.last, {"events": report.events, "trees": reader.trees})
    return report


def _bad_trailer(trailer: dict[str, Any] | None, key: str, last: int, found: dict[str, Any]) -> Finding | None:
    if trailer is None:
        return Finding(last + 1, "truncation", "the file has no trailer")
    statement = {name: trailer.get(name) for name in (*found, "at")}
    if not keys.signed(key, statement, str(trailer.get("signature"))):
        return Finding(last + 1, "checkpoint", "the trailer's signature is wrong")
    if any(statement[name] != value for name, value in found.items()):
        return Finding(last + 1, "truncation", f"the trailer promises {trailer.get('events')} events")
    return None


def words(report: Report) -> str:
    """The outcome as a sentence for people."""
    if report.finding is not None:
        found = report.finding
        return f"BAD at event {found.seq}: {found.kind}: {found.words}"
    counts = f"{report.events} events, {report.checkpoints} checkpoints, {report.segments} segments"
    return f"good: {counts}, {report.prunings} pruned" if report.prunings else f"good: {counts}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an exported audit log.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--public-key", default="", help="64 hexadecimal digits, obtained on another way than the file")
    options = parser.parse_args(arguments)
    try:
        report = verify_file(options.file, public_key=options.public_key)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join([words(report), *report.notes]) + "\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
