"""Writes compound files ([MS-CFB]), in which the old Office formats and Outlook keep their streams."""

from __future__ import annotations

import struct
from typing import Any

Tree = dict[str, Any]  # name -> bytes of a stream, or the tree of a storage


def compound(streams: Tree) -> bytes:
    """A minimal compound file ([MS-CFB], version 3): storages are dictionaries, and every stream is padded to 4096
    bytes, so without a mini stream."""
    sectors: list[bytes] = []
    fat: list[int] = []
    entries: list[list[object]] = [[wide("Root Entry"), 22, 5, 1, _NONE, _NONE, _NONE, b"", 0, 0, 0, _END, 0]]

    def store(data: bytes) -> int:
        first = len(sectors)
        for offset in range(0, len(data), 512):
            sectors.append(data[offset : offset + 512].ljust(512, b"\0"))
            fat.append(len(sectors))
        fat[-1] = _END
        return first

    def enter(owner: int, members: Tree) -> None:
        before, field = owner, 6  # the first hangs on its owner's child, each other on the right of the one before
        for name in sorted(members, key=lambda name: (len(name), name.upper())):
            content, place = members[name], len(entries)
            entries[before][field] = place
            before, field = place, 5
            entry: list[object] = [wide(name), len(wide(name)) + 2, 1, 1, _NONE, _NONE, _NONE, b"", 0, 0, 0, 0, 0]
            entries.append(entry)
            if isinstance(content, bytes):
                size = max(4096, len(content))
                entry[2], entry[11], entry[12] = 2, store(content.ljust(size, b"\0")), size
            else:
                enter(place, content)

    enter(0, streams)
    blob = b"".join(struct.pack(_ENTRY, *entry) for entry in entries)
    while len(blob) % 512:
        blob += struct.pack(_ENTRY, b"", 0, 0, 0, _NONE, _NONE, _NONE, b"", 0, 0, 0, 0, 0)
    directory, table = store(blob), len(sectors)
    tables = -(-(table + 1) // 127)  # each holds 128 numbers, those of the tables themselves too
    fat += [0xFFFFFFFD] * tables
    rows = struct.pack(f"<{128 * tables}I", *fat, *[_NONE] * (128 * tables - len(fat)))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, tables,
        directory, 0, 4096, _END, 0, _END, 0,
    )  # fmt: skip
    places = struct.pack("<109I", *range(table, table + tables), *[_NONE] * (109 - tables))
    return header + places + b"".join(sectors) + rows


_NONE, _END = 0xFFFFFFFF, 0xFFFFFFFE
_ENTRY = "<64sHBBIII16sIQQIQ"


def wide(name: str) -> bytes:
    return name.encode("utf-16-le")
