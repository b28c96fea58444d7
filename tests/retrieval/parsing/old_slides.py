"""Writes PowerPoint 97 files as PowerPoint saved them: whole at first, then each change behind it ([MS-PPT] 2.1.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.retrieval.parsing.compound import compound

_CONTAINER = 15


def record(kind: int, content: bytes, *, version: int = 0, instance: int = 0) -> bytes:
    return struct.pack("<HHI", (instance << 4) | version, kind, len(content)) + content


def container(kind: int, *parts: bytes, instance: int = 0) -> bytes:
    return record(kind, b"".join(parts), version=_CONTAINER, instance=instance)


def said(kind: int, text: str) -> bytes:
    """A text with its kind: 0 a title, 1 a body, 2 notes, 4 anything else."""
    return record(3999, struct.pack("<I", kind)) + record(4000, text.encode("utf-16-le"))


def shape(text: bytes, *, deleted: bool = False, hidden: bool = False) -> bytes:
    flags = record(0xF00A, struct.pack("<II", 1025, 0x0A00 | (0x08 if deleted else 0)), version=2, instance=1)
    options = record(0xF00B, struct.pack("<HI", 0x03BF, 0x20002 if hidden else 0x20000), version=3, instance=1)
    return container(0xF004, flags, options, record(0xF00D, text, version=_CONTAINER))


def refers(index: int) -> bytes:
    """A shape whose text is in the outline."""
    return record(3998, struct.pack("<I", index))


def slide(*parts: bytes, hidden: bool = False) -> bytes:
    info = record(1017, struct.pack("<IIBBHI", 0, 0, 0, 0, 0x04 if hidden else 0, 0))
    return container(1006, record(1007, bytes(24), version=2), info, *parts)


def notes(of: int, *parts: bytes) -> bytes:
    return container(1008, record(1009, struct.pack("<IHH", of, 0, 0), version=1), *parts)


def comment(text: str) -> bytes:
    return container(12000, *(record(4026, t.encode("utf-16-le"), instance=i) for i, t in enumerate(("Ada", text))))


@dataclass
class Item:
    """A row of the list of slides or notes: object, identifier and outline."""

    persist: int
    identifier: int
    outline: bytes = b""

    def row(self) -> bytes:
        return record(1011, struct.pack("<IIiII", self.persist, 0, 0, self.identifier, 0)) + self.outline


def document(slides: list[Item], notes: list[Item] | None = None) -> bytes:
    lists = [container(4080, *(item.row() for item in slides))]
    if notes:
        lists.append(container(4080, *(item.row() for item in notes), instance=2))
    return container(1000, *lists)


class OldSlides:
    """A presentation that is saved several times; the document is object 1."""

    def __init__(self) -> None:
        self.stream = b""
        self.latest = 0

    def save(self, objects: dict[int, bytes]) -> OldSlides:
        """Append new and changed objects, their directory and an edit that points back at the one before."""
        places = {}
        for number, content in objects.items():
            places[number] = len(self.stream)
            self.stream += content
        directory = len(self.stream)
        self.stream += record(6002, b"".join(struct.pack("<II", n | 1 << 20, at) for n, at in places.items()))
        edit = struct.pack("<IHBBIIIIHH", 0, 0, 0, 3, self.latest, directory, 1, 99, 1, 0)
        self.latest = len(self.stream)
        self.stream += record(4085, edit)
        return self

    def file(self, *, token: int = 0xE391C05F, current: bool = True) -> bytes:
        user = record(4086, struct.pack("<III", 20, token, self.latest) + bytes(8))
        return compound({"PowerPoint Document": self.stream, "Current User": user if current else b"\0"})
