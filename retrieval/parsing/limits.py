"""The limits under which an unknown file is read. Knows numbers only; `sandbox` and the parsers enforce them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for reading one file; every one ends in `LimitExceeded(what=<field name>)`.

    `seconds` bounds the whole, `stall_seconds` the time without a finished page: a thick scan may take long, a
    parser that hangs may not. `page_characters` is not a bound but the size at which formats without pages of
    their own are divided.
    """

    file_bytes: int = 200 * MIB
    pages: int = 5_000
    characters: int = 30_000_000
    seconds: float = 3_600.0
    stall_seconds: float = 180.0
    cpu_seconds: int = 3_600
    memory_bytes: int = 4096 * MIB
    output_bytes: int = 256 * MIB
    archive_members: int = 20_000
    archive_bytes: int = 768 * MIB
    archive_ratio: int = 300
    attachments: int = 200
    depth: int = 4
    pixels: int = 120_000_000
    ocr_pages: int = 1_000
    page_characters: int = 4_000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise ValueError(f"limit {name} must be positive, not {value}")
        if self.page_characters < 200:
            raise ValueError("page_characters must be at least 200")
