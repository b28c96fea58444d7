"""What a file is, decided from its content; the name only breaks ties among kinds of plain text.

Reads at most a few megabytes and runs no parser, so the web process may use it on hostile bytes. Signatures:
PDF ISO 32000 7.5.2, OLE [MS-CFB] 2.2, zip APPNOTE 4.3, and the magic numbers of the picture formats.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from retrieval.errors import EmptyDocument, EncryptedDocument, UnsupportedFormat
from retrieval.parsing import registry
from retrieval.parsing.decoding import decode, looks_binary

_WINDOW = 2 * 1024 * 1024
_TEXT_WINDOW = 16 * 1024
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_HINTS: tuple[tuple[bytes, str], ...] = (
    (b"word/document.xml", registry.DOCX),
    (b"ppt/presentation.xml", registry.PPTX),
    (b"xl/workbook.xml", registry.XLSX),
)
_OLE_STREAMS: tuple[tuple[str, str], ...] = (
    ("EncryptedPackage", "encrypted"),
    ("DataSpaces", "encrypted"),
    ("__properties_version1.0", registry.MSG),
    ("WordDocument", registry.DOC),
    ("PowerPoint Document", registry.PPT),
    ("Workbook", registry.XLS),
    ("Book", registry.XLS),
)
_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", registry.PNG),
    (b"\xff\xd8\xff", registry.JPEG),
    (b"II*\x00", registry.TIFF),
    (b"MM\x00*", registry.TIFF),
    (b"GIF87a", registry.GIF),
    (b"GIF89a", registry.GIF),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"SQLite format 3\x00", "a database"),
    (b"ID3", "an audio file"),
    (b"OggS", "an audio file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"wOFF", "a font"),
)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,40}:[ \t]?\S?")
_MAIL_HEADERS = {
    "received", "from", "to", "subject", "date", "message-id", "mime-version", "return-path",
    "delivered-to", "content-type", "x-mailer", "reply-to", "cc", "sender", "dkim-signature",
}  # fmt: skip
_HTML = re.compile(
    r"^(?:\s|<!--.*?-->|<\?xml[^>]*\?>)*<(?:!doctype\s+html|html|head|body|title|meta|table|div|h[1-6]|p)\b",
    re.IGNORECASE | re.DOTALL,
)
_BY_NAME = {
    extension: media_type
    for media_type in (
        registry.MARKDOWN,
        registry.CSV,
        registry.TSV,
        registry.TEXT,
        registry.HTML,
        registry.EML,
    )
    for extension in registry.FORMATS[media_type].extensions
}


def sniff(path: Path, filename: str) -> str:
    """The media type of the file at `path`; raises as `sniff_bytes` does."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_WINDOW)
        tail = b""
        if size > _WINDOW:
            stream.seek(max(_WINDOW, size - _WINDOW))
            tail = stream.read(_WINDOW)
    return _sniff(head, tail, filename)


def sniff_bytes(data: bytes, filename: str) -> str:
    """The media type of a file in memory.

    Raises `EmptyDocument` for no bytes, `EncryptedDocument` for a password-protected Office file, and
    `UnsupportedFormat`, whose message says what the content looks like.
    """
    return _sniff(data[:_WINDOW], data[max(_WINDOW, len(data) - _WINDOW) :], filename)


def _sniff(head: bytes, tail: bytes, filename: str) -> str:
    if not head.strip(b"\x00 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise EmptyDocument("the file is empty")
    if b"%PDF-" in head[:1024]:
        return registry.PDF
    if head.startswith(_OLE):
        return _ole(head + tail)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(head, tail)
    for magic, media_type in _PICTURES:
        if head.startswith(magic):
            return media_type
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return registry.WEBP
    if head.startswith(b"BM") and len(head) > 30 and head[6:10] == b"\x00\x00\x00\x00":
        return registry.BMP
    if head.lstrip()[:5] == b"{\\rtf":
        return registry.RTF
    for magic, what in _REFUSED:
        if head.startswith(magic) and looks_binary(head[:_TEXT_WINDOW]):
            raise UnsupportedFormat(f"the file is {what}, not a document")
    if looks_binary(head[:_TEXT_WINDOW]):
        raise UnsupportedFormat("the content is not text and of no known document format")
    return _text(head, filename)


def _ole(windows: bytes) -> str:
    for name, media_type in _OLE_STREAMS:
        if _has_stream(windows, name):
            if media_type == "encrypted":
                raise EncryptedDocument("the Office document is protected by a password")
            return media_type
    raise UnsupportedFormat(
        "an old compound file of an unknown program",
        hint="Open it in its own program, save it as DOCX or PDF and upload that copy.",
    )


def _has_stream(windows: bytes, name: str) -> bool:
    """Whether a directory entry ([MS-CFB] 2.6.1) of exactly this name begins at a 128-byte boundary."""
    wanted = name.encode("utf-16-le")
    exact = wanted + b"\x00\x00"
    position = windows.find(wanted)
    while position >= 0:
        if windows.startswith(exact, position) or len(name) > 14:
            return True
        position = windows.find(wanted, position + 2)
    return False


def _zip(head: bytes, tail: bytes) -> str:
    mimetype = re.search(rb"^.{26}\x08\x00..mimetype([a-z./+-]{10,80})", head[:200], re.DOTALL)
    if mimetype:
        name = mimetype[1].decode("ascii")
        for media_type in (registry.EPUB, registry.ODT, registry.ODS, registry.ODP):
            if name.startswith(media_type):
                return media_type
    windows = head + tail
    for needle, media_type in _ZIP_HINTS:
        if needle in windows:
            return media_type
    if b"[Content_Types].xml" in windows:
        for needle, media_type in (
            (b"word/", registry.DOCX),
            (b"ppt/", registry.PPTX),
            (b"xl/", registry.XLSX),
        ):
            if needle in windows:
                return media_type
    if b"META-INF/container.xml" in windows:
        return registry.EPUB
    raise UnsupportedFormat(
        "a zip archive that is no document", hint="Unpack the archive and upload the documents inside."
    )


def _text(head: bytes, filename: str) -> str:
    text = decode(head[:_TEXT_WINDOW]).text
    named = _BY_NAME.get(PurePosixPath(filename.replace("\\", "/")).suffix.lower())
    if _HTML.match(text[:4096]) and named != registry.MARKDOWN:
        return registry.HTML
    if _is_mail(text) and named in (None, registry.EML, registry.TEXT):
        return registry.EML
    if named is not None and named != registry.EML:
        return named
    return registry.TEXT


def _is_mail(text: str) -> bool:
    """Whether the first lines are RFC 5322 headers, at least three of them well known (or two and MIME)."""
    known = 0
    for line in text.lstrip("\ufeff").splitlines()[:60]:
        if not line.strip():
            break
        if line[0] in " \t" or line.startswith("From "):
            continue
        if not _HEADER.match(line):
            return False
        known += line.partition(":")[0].lower() in _MAIL_HEADERS
    return known >= 3
