"""EPUB to pages: the chapters in the order of the spine, each a page or several, labelled with its heading.

Knows the container, the package document and nothing of encryption but that it is there (EPUB 3.3, OCF).
"""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from retrieval.errors import CorruptDocument, EmptyDocument, EncryptedDocument
from retrieval.parsing.archives import Archive, local
from retrieval.parsing.base import Context, Source
from retrieval.parsing.html import html_text, write_html
from retrieval.parsing.pages import PageWriter
from retrieval.schema import ParsedDocument

_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def parse(source: Source, context: Context) -> ParsedDocument:
    """Every chapter of the spine; navigation documents are left out."""
    archive = Archive(source.data, context.limits)
    if "META-INF/rights.xml" in archive:
        raise EncryptedDocument("the book is protected by rights management")
    container = archive.xml("META-INF/container.xml")
    package = next((e.get("full-path") for e in container.iter() if local(e) == "rootfile"), None)
    if not package:
        raise CorruptDocument("the book's container names no package")
    root = archive.xml(package)
    folder = posixpath.dirname(package)
    items = {e.get("id"): e for e in root.iter() if local(e) == "item"}
    title = next((e.text for e in root.iter() if local(e) == "title" and e.text), None)
    spine = [e.get("idref") for e in root.iter() if local(e) == "itemref"]
    writer = PageWriter(context.limits, flow=True)
    for number, identifier in enumerate(spine, 1):
        item = items.get(identifier)
        if item is None or item.get("media-type") not in _CHAPTERS or "nav" in (item.get("properties") or "").split():
            continue
        name = posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or "")))
        if name not in archive:
            writer.warn(f"The chapter {posixpath.basename(name)} is missing from the book.")
            continue
        if not writer.empty:
            writer.start()
        try:
            write_html(writer, html_text(archive.read(name)))
        except EmptyDocument:
            continue
        context.progress(number, len(spine))
    return writer.document(source.media_type, title)
