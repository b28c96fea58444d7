"""Which characters of a Word 97 to 2003 document nobody sees: deleted while changes were tracked, or hidden.

Follows [MS-DOC]: character properties stand in pages of 512 bytes (PlcBteChpx 2.8.5, ChpxFkp 2.9.33) as lists of
changes (Sprm 2.2.5); a fast save may put such a list on a whole piece (Prm0 and Prm1, 2.9.214 and 2.9.215). Styles are
not read.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_REASONS = {0x0800: "deleted text", 0x083C: "hidden text"}  # sprmCFRMarkDel, sprmCFVanish
_SHORT = {0x41: 0x0800, 0x5C: 0x083C}  # the same as a piece's own one-byte change
_ON = (0x01, 0x81)
_OPERANDS = (1, 1, 2, 4, 2, 2, 0, 3)  # bytes by the three top bits; 0: the first byte says
_LONG = 0xD608  # sprmTDefTable, whose size has two bytes
_PAGE = 512


@dataclass(frozen=True, slots=True)
class Marks:
    """Stretches of the WordDocument stream (bytes, half open, in order) with the reason why they are not seen."""

    stretches: tuple[tuple[int, int, str], ...]

    @classmethod
    def read(cls, main: bytes, plc: bytes) -> Marks:
        """From the stream and the table of its pages of character properties."""
        count = max(0, (len(plc) - 4) // 8)
        named = struct.unpack_from(f"<{count}I", plc, (count + 1) * 4) if count else ()
        numbers = {number & 0x3FFFFF for number in named}
        found: list[tuple[int, int, str]] = []
        for number in numbers:
            page = main[number * _PAGE : (number + 1) * _PAGE]
            if len(page) == _PAGE:
                found.extend(_of_page(page))
        return cls(tuple(sorted(found)))

    def within(self, begin: int, width: int, length: int) -> list[tuple[int, int, str]]:
        """The unseen characters of a piece (from byte `begin`, `width` bytes each): first, behind the last, reason."""
        end = begin + width * length
        found: list[tuple[int, int, str]] = []
        at = 0
        # Stretches do not overlap in a sound file; in another one what is told twice is taken once.
        for index in range(max(0, bisect.bisect_left(self.stretches, (begin,)) - 1), len(self.stretches)):
            low, high, reason = self.stretches[index]
            if low >= end:
                break
            first = max(at, (max(low, begin) - begin) // width)
            last = (min(high, end) - begin) // width
            if last > first:
                found.append((first, last, reason))
                at = last
        return found


def piece_reason(change: int, lists: Sequence[bytes]) -> str | None:
    """Why a whole piece is not seen, by its Prm and the lists that stand before the piece table."""
    if change & 1:
        return _reason(lists[change >> 1]) if change >> 1 < len(lists) else None
    number = _SHORT.get(change >> 1 & 0x7F)
    return _REASONS[number] if number and change >> 8 in _ON else None


def _of_page(page: bytes) -> list[tuple[int, int, str]]:
    count = page[_PAGE - 1]
    if (count + 1) * 4 + count >= _PAGE:
        return []
    places = struct.unpack_from(f"<{count + 1}I", page, 0)
    found = []
    for index in range(count):
        at = page[(count + 1) * 4 + index] * 2
        reason = _reason(page[at + 1 : at + 1 + page[at]]) if at else None
        if reason and places[index] < places[index + 1]:
            found.append((places[index], places[index + 1], reason))
    return found


def _reason(changes: bytes) -> str | None:
    """What a list of changes says of being deleted or hidden; the last word on each counts."""
    said: dict[int, bool] = {}
    offset = 0
    while offset + 3 <= len(changes):
        code = changes[offset] | changes[offset + 1] << 8
        offset += 2
        if code in _REASONS:
            said[code] = changes[offset] in _ON
        size = _OPERANDS[code >> 13]
        if code == _LONG:
            size = 1 + int.from_bytes(changes[offset : offset + 2], "little")
        elif not size:
            size = 1 + changes[offset]
        offset += size
    return next((reason for code, reason in _REASONS.items() if said.get(code)), None)
