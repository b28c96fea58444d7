"""The compressed RTF of a message's body in Outlook ([MS-OXRTFCP]): LZ77 over a dictionary of 4,096 bytes.

Knows bytes only. What is damaged gives what was read up to there, as it would in a truncated text.
"""

from __future__ import annotations

import struct

from retrieval.errors import CorruptDocument, LimitExceeded

_PACKED, _PLAIN = 0x75465A4C, 0x414C454D  # "LZFu", "MELA"
_HEAD = 16
_SIZE = 4096
_BEGINNING = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def unpacked(data: bytes, limit: int) -> bytes:
    """The RTF text. Raises CorruptDocument (not of this form), LimitExceeded (longer than `limit` bytes)."""
    if len(data) < _HEAD:
        raise CorruptDocument("the message's body is cut off")
    _, size, kind, _ = struct.unpack_from("<4I", data)
    if kind == _PLAIN:
        return data[_HEAD : _HEAD + size]
    if kind != _PACKED:
        raise CorruptDocument("the message's body is compressed in an unknown way")
    return _unpacked(data, limit)[:size]


def _unpacked(data: bytes, limit: int) -> bytes:
    dictionary = bytearray(_BEGINNING.ljust(_SIZE, b"\0"))
    at, out = len(_BEGINNING), bytearray()
    place = _HEAD
    while place < len(data):
        flags, place = data[place], place + 1
        for bit in range(8):
            if flags >> bit & 1:
                pair = int.from_bytes(data[place : place + 2], "big")
                start, length, place = pair >> 4, (pair & 15) + 2, place + 2
                if start == at or place > len(data):  # the end is a reference to the place that is written next
                    return bytes(out)
            elif place < len(data):
                start, length, dictionary[at], place = at, 1, data[place], place + 1
            else:
                return bytes(out)
            for step in range(length):
                value = dictionary[(start + step) % _SIZE]
                dictionary[at] = value
                at = (at + 1) % _SIZE
                out.append(value)
        if len(out) > limit:
            raise LimitExceeded(f"the message's body is larger than {limit} bytes", what="archive_bytes")
    return bytes(out)
