"""Outlook messages (MSG) to pages: headers, body, attachments as further pages.

Reads the property streams of [MS-OXMSG] with olefile. A message inside a message is read too, as deep as the
limits allow; a compressed RTF body ([MS-OXRTFCP]) is used when there is no plain and no HTML body.
"""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import olefile

from retrieval.errors import CorruptDocument, LimitExceeded
from retrieval.parsing import clean, compressed_rtf
from retrieval.parsing.attachments import append_attachment
from retrieval.parsing.base import Context, Source
from retrieval.parsing.decoding import decode
from retrieval.parsing.html import html_text
from retrieval.parsing.mail import write_body
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.rtf import write_rtf
from retrieval.schema import ParsedDocument

_RTF = "1009"
_SUBJECT, _BODY, _HTML, _SENDER, _SENDER_ADDRESS, _SENDER_SMTP = "0037", "1000", "1013", "0C1A", "0C1F", "5D01"
_TO, _CC, _LONG_NAME, _SHORT_NAME, _DATA = "0E04", "0E03", "3707", "3704", "3701"
_SENT, _DELIVERED, _CODE_PAGE = 0x0039, 0x0E06, 0x3FFD
_CODE_PAGES = {65001: "utf-8", 20127: "ascii", 28591: "latin-1", 936: "gb18030", 950: "big5hkscs"}
_ATTACHMENT = "__attach_version1.0_"


def parse(source: Source, context: Context) -> ParsedDocument:
    """The message and everything attached to it."""
    try:
        ole = olefile.OleFileIO(io.BytesIO(source.data))
    except (OSError, ValueError, IndexError, KeyError) as exc:
        raise CorruptDocument(f"not a readable Outlook message: {exc}"[:300]) from exc
    writer = PageWriter(context.limits, flow=True)
    with ole:
        subject = _Storage(ole, []).write(writer, context)
    return writer.document(source.media_type, subject)


class _Storage:
    """One message object: the top of the file, or an embedded message."""

    def __init__(self, ole: olefile.OleFileIO, path: list[str]) -> None:
        self._ole = ole
        self._path = path

    def write(self, writer: PageWriter, context: Context) -> str | None:
        """Write the message, then its attachments; returns the subject."""
        subject = self._text(_SUBJECT)
        if subject:
            writer.add("heading", subject, 1)
        sender, address = self._text(_SENDER), self._text(_SENDER_SMTP) or self._text(_SENDER_ADDRESS)
        if address and "@" in address and address not in sender:
            sender = f"{sender} <{address}>".strip()
        fields = {"From": sender, "To": self._text(_TO), "Cc": self._text(_CC), "Date": self._date()}
        for name, value in fields.items():
            if value:
                writer.add("paragraph", f"{name}: {value}")
        html = self._bytes(_HTML + "0102")
        plain, html_body = self._text(_BODY), html_text(html) if html else self._text(_HTML)
        if not plain.strip() and not html_body.strip() and (packed := self._bytes(_RTF + "0102")):
            write_rtf(writer, compressed_rtf.unpacked(packed, context.limits.archive_bytes))
        write_body(writer, plain, html_body)
        self._attachments(writer, context)
        return subject or None

    def _attachments(self, writer: PageWriter, context: Context) -> None:
        depth = len(self._path)
        folders = {
            tuple(entry[: depth + 1])
            for entry in self._ole.listdir(streams=True, storages=True)
            if len(entry) > depth and entry[:depth] == self._path and entry[depth].startswith(_ATTACHMENT)
        }
        if len(folders) > context.limits.attachments:
            raise LimitExceeded(f"more than {context.limits.attachments} attachments", what="attachments")
        for folder in sorted(folders):
            item = _Storage(self._ole, list(folder))
            name = item._text(_LONG_NAME) or item._text(_SHORT_NAME) or "attachment"
            if self._ole.exists([*folder, "__substg1.0_3701000D"]):
                self._embedded([*folder, "__substg1.0_3701000D"], name, writer, context)
            elif data := item._bytes(_DATA + "0102"):
                append_attachment(writer, data, name, context)

    def _embedded(self, path: list[str], name: str, writer: PageWriter, context: Context) -> None:
        inner = PageWriter(context.limits, flow=True)
        subject = _Storage(self._ole, path).write(inner, context.nested())
        if not inner.empty or inner.number > 1:
            label = clean.one_line(subject or name)[:120]
            writer.append_pages(inner.document("application/vnd.ms-outlook", subject), label)

    def _text(self, tag: str) -> str:
        """A string property, Unicode or in the sender's code page."""
        wide = self._bytes(tag + "001F")
        if wide:
            return wide.decode("utf-16-le", "replace").rstrip("\x00")
        narrow = self._bytes(tag + "001E").rstrip(b"\x00")
        if not narrow:
            return ""
        with suppress(LookupError, UnicodeDecodeError):
            return narrow.decode(self._code_page())
        return decode(narrow).text

    def _code_page(self) -> str:
        """The encoding of narrow text, as the outermost message says; "" when it does not."""
        number = int.from_bytes(_Storage(self._ole, [])._fixed(_CODE_PAGE, 0x0003)[:4], "little")
        return _CODE_PAGES.get(number, f"cp{number}" if number else "")

    def _bytes(self, tag: str, name: str = "") -> bytes:
        path = [*self._path, name or f"__substg1.0_{tag}"]
        try:
            if not self._ole.exists(path):
                return b""
            return bytes(self._ole.openstream(path).read())
        except (OSError, ValueError, IndexError) as exc:
            raise CorruptDocument(f"a property of the message is damaged: {exc}"[:300]) from exc

    def _date(self) -> str:
        """When it was sent; an empty string if unknown."""
        ticks = int.from_bytes(self._fixed(_SENT, 0x0040) or self._fixed(_DELIVERED, 0x0040), "little")
        try:
            moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
        except OverflowError:
            return ""
        return moment.strftime("%Y-%m-%d %H:%M UTC") if ticks else ""

    def _fixed(self, number: int, kind: int) -> bytes:
        """The eight bytes of a fixed-length property of a message ([MS-OXMSG] 2.4.2.1); none when it has none."""
        stream = self._bytes("", name="__properties_version1.0")
        for offset in range(24 if self._path else 32, len(stream) - 15, 16):
            if stream[offset : offset + 4] == kind.to_bytes(2, "little") + number.to_bytes(2, "little"):
                return stream[offset + 8 : offset + 16]
        return b""
