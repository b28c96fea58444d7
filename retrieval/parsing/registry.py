"""Which module reads which media type, and under which names such files usually come.

Knows names only: a parser module is imported when its first file arrives, in the sandboxed child, so that a
small text file does not pay for the PDF or OCR machinery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from retrieval.errors import UnsupportedFormat
from retrieval.parsing.base import Parser


@dataclass(frozen=True, slots=True)
class Format:
    """One readable format: the module under `retrieval.parsing` with its `parse`, and its usual extensions."""

    module: str
    extensions: tuple[str, ...]
    renders: bool = False


_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

PDF = "application/pdf"
DOCX = _OOXML + "wordprocessingml.document"
PPTX = _OOXML + "presentationml.presentation"
XLSX = _OOXML + "spreadsheetml.sheet"
DOC, PPT, XLS = "application/msword", "application/vnd.ms-powerpoint", "application/vnd.ms-excel"
ODT, ODS, ODP = _ODF + "text", _ODF + "spreadsheet", _ODF + "presentation"
EPUB, RTF, HTML = "application/epub+zip", "application/rtf", "text/html"
EML, MSG = "message/rfc822", "application/vnd.ms-outlook"
MARKDOWN, CSV, TSV, TEXT = "text/markdown", "text/csv", "text/tab-separated-values", "text/plain"
PNG, JPEG, TIFF, WEBP = "image/png", "image/jpeg", "image/tiff", "image/webp"
GIF, BMP = "image/gif", "image/bmp"

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        PDF: Format("pdf", (".pdf",), renders=True),
        DOCX: Format("docx", (".docx", ".docm", ".dotx")),
        PPTX: Format("pptx", (".pptx", ".pptm", ".ppsx")),
        XLSX: Format("xlsx", (".xlsx", ".xlsm", ".xltx")),
        DOC: Format("legacy_word", (".doc", ".dot")),
        PPT: Format("legacy_powerpoint", (".ppt", ".pps")),
        XLS: Format("xls", (".xls", ".xlt")),
        ODT: Format("opendocument", (".odt", ".ott")),
        ODS: Format("opendocument", (".ods", ".ots")),
        ODP: Format("opendocument", (".odp", ".otp")),
        EPUB: Format("epub", (".epub",)),
        RTF: Format("rtf", (".rtf",)),
        HTML: Format("html", (".html", ".htm", ".xhtml")),
        EML: Format("mail", (".eml",)),
        MSG: Format("outlook", (".msg",)),
        MARKDOWN: Format("markdown", (".md", ".markdown")),
        CSV: Format("delimited", (".csv",)),
        TSV: Format("delimited", (".tsv", ".tab")),
        TEXT: Format("plain", (".txt", ".text", ".log", ".rst", ".org")),
        PNG: Format("images", (".png",), renders=True),
        JPEG: Format("images", (".jpg", ".jpeg"), renders=True),
        TIFF: Format("images", (".tif", ".tiff"), renders=True),
        WEBP: Format("images", (".webp",), renders=True),
        GIF: Format("images", (".gif",), renders=True),
        BMP: Format("images", (".bmp",), renders=True),
    }
)


def supported_media_types() -> Mapping[str, tuple[str, ...]]:
    """Every media type that can be parsed, with its usual file name extensions."""
    return MappingProxyType({name: entry.extensions for name, entry in FORMATS.items()})


def can_render(media_type: str) -> bool:
    """Whether `render_page` makes pictures of this kind of file."""
    entry = FORMATS.get(media_type)
    return entry is not None and entry.renders


def parser_for(media_type: str) -> Parser:
    """The parser of a media type, imported now; raises `UnsupportedFormat`."""
    entry = FORMATS.get(media_type)
    if entry is None:
        raise UnsupportedFormat(f"no parser for {media_type}")
    return cast(Parser, import_module(f"retrieval.parsing.{entry.module}").parse)
