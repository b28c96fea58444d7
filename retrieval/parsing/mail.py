"""E-mail (EML) to pages: the headers people read, the body, then each attachment as further pages.

Knows MIME as the standard library parses it (RFC 2045 to 2049, 5322). The plain part is taken unless it says
much less than the HTML part. Remote content is never loaded.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import Message

from retrieval.errors import CorruptDocument, EmptyDocument, LimitExceeded
from retrieval.parsing import clean
from retrieval.parsing.attachments import append_attachment
from retrieval.parsing.base import Context, Source
from retrieval.parsing.decoding import decode
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.plain import write_text
from retrieval.schema import ParsedDocument

_SHOWN = ("From", "To", "Cc", "Date")
_MOST_PARTS = 1_000


def parse(source: Source, context: Context) -> ParsedDocument:
    """The message's own page or pages first, then its attachments."""
    data = source.data
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1:2] == b"\x00" or data[:1] == b"\x00":
        data = decode(data).text.encode("utf-8", "replace")
    message = email.message_from_bytes(data, policy=email.policy.default)
    writer = PageWriter(context.limits, flow=True)
    subject = header(message, "Subject")
    if subject:
        writer.add("heading", subject, 1)
    for name in _SHOWN:
        if value := header(message, name):
            writer.add("paragraph", f"{name}: {value}")
    plain, html, attachments = _sort(message, context)
    write_body(writer, plain, html)
    for filename, content in attachments:
        append_attachment(writer, content, filename, context)
    return writer.document(source.media_type, subject)


def header(message: Message, name: str) -> str | None:
    """A header's decoded text; headers that the library cannot parse are read raw."""
    try:
        value = message[name]
    except (ValueError, IndexError, AttributeError, KeyError, TypeError):
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), None)
    return clean.one_line(str(value)) or None if value is not None else None


def write_body(writer: PageWriter, plain: str, html: str) -> None:
    """Write the better of the two bodies."""
    if html.strip() and len(plain.split()) * 2 < _words(html):
        from retrieval.parsing.html import write_html

        try:
            write_html(writer, html)
        except (CorruptDocument, EmptyDocument):
            write_text(writer, plain)
    elif plain.strip():
        write_text(writer, plain.replace("\r\n", "\n").replace("\r", "\n"))


def _words(html: str) -> int:
    from lxml import etree
    from lxml import html as lxml_html

    try:
        root = lxml_html.document_fromstring(html.replace("\x00", ""))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return 0
    etree.strip_elements(root, "script", "style", with_tail=False)
    return len(" ".join(root.itertext()).split())


def _sort(message: Message, context: Context) -> tuple[str, str, list[tuple[str, bytes]]]:
    """The plain body, the HTML body, and the attachments by name."""
    plain: list[str] = []
    html: list[str] = []
    attachments: list[tuple[str, bytes]] = []
    for part in _leaves(message, 0, context.limits.depth * 8):
        kind, name = part.get_content_type(), _filename(part)
        if kind == "message/rfc822":
            inner = part.get_payload()
            inner = inner[0] if isinstance(inner, list) and inner else inner
            content = inner.as_bytes() if isinstance(inner, Message) else str(inner).encode("utf-8", "replace")
            attachments.append((name or header(part, "Subject") or "message.eml", content))
        elif kind in ("text/plain", "text/html") and not name and part.get_content_disposition() != "attachment":
            (html if kind == "text/html" else plain).append(_text(part))
        elif name or part.get_content_disposition() == "attachment":
            attachments.append((name or "attachment", _bytes(part)))
        if len(attachments) > context.limits.attachments:
            raise LimitExceeded(f"more than {context.limits.attachments} attachments", what="attachments")
    return "\n\n".join(plain), "\n".join(html), attachments


def _leaves(message: Message, depth: int, deepest: int) -> Iterator[Message]:
    """Parts that are no containers, in order; an attached message counts as one part."""
    stack: list[tuple[Message, int]] = [(message, depth)]
    seen = 0
    while stack:
        part, level = stack.pop()
        seen += 1
        if level > deepest or seen > _MOST_PARTS:
            raise LimitExceeded("the message nests too many parts", what="depth")
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            stack.extend((item, level + 1) for item in reversed(payload) if isinstance(item, Message))
        else:
            yield part


def _filename(part: Message) -> str | None:
    try:
        return part.get_filename()
    except (ValueError, IndexError, AttributeError, KeyError, TypeError, LookupError):
        return None


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    if isinstance(payload, bytes):
        return payload
    raw = part.get_payload()
    return raw.encode("utf-8", "replace") if isinstance(raw, str) else b""


def _text(part: Message) -> str:
    """A text part in the character set it names, when that fits, else detected."""
    payload = _bytes(part)
    charset = part.get_content_charset() or ""
    charset = {"gb2312": "gb18030", "gbk": "gb18030", "us-ascii": "utf-8"}.get(charset.lower(), charset)
    try:
        return payload.decode(charset)
    except (LookupError, UnicodeDecodeError, ValueError):
        return decode(payload).text
