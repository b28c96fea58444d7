"""Files inside files: each attachment is sniffed, parsed by its own parser and appended under its name.

Knows only the registry. An attachment that cannot be read is a warning on the outer document, never its end,
unless a limit of the whole is reached.
"""

from __future__ import annotations

from retrieval.errors import EmptyDocument, LimitExceeded, ParseError
from retrieval.parsing import clean, registry
from retrieval.parsing.archives import Archive
from retrieval.parsing.base import Context, Source
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.sniffing import sniff_bytes

_FEW_CHARACTERS = 200
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_WHOLE = ("characters", "pages", "archive_bytes")


def append_attachment(writer: PageWriter, data: bytes, filename: str, context: Context) -> None:
    """Parse `data` and append its pages to `writer`, labelled with the attachment's name."""
    label = clean.one_line(filename)[:120] or "attachment"
    try:
        media_type = sniff_bytes(data, filename)
        inner = context.nested()
        document = registry.parser_for(media_type)(Source(data, filename, media_type), inner)
    except EmptyDocument:
        return
    except LimitExceeded as error:
        if error.what in _WHOLE:
            raise
        writer.warn(f"The attachment {label} was left out: {error.message}.")
        return
    except ParseError as error:
        writer.warn(f"The attachment {label} was left out: {error.message}.")
        return
    writer.append_pages(document, label)


def read_pictures(archive: Archive, folder: str, writer: PageWriter, context: Context) -> None:
    """For an Office file that is hardly more than pictures (a scan put into Word): read those by OCR, as pages."""
    if writer.characters >= _FEW_CHARACTERS:
        return
    names = [name for name in archive.names() if name.startswith(folder) and name.lower().endswith(_PICTURES)]
    for name in names[: context.limits.attachments]:
        append_attachment(writer, archive.read(name), name.rpartition("/")[2], context)
