"""DOCX to pages: headings, lists with their numbers, table rows, text boxes, notes, headers and footers.

Pages are Word's own (the breaks it noted when it last laid the text out, and explicit breaks); a file without
any is divided at headings. Deleted and moved (tracked), hidden and white text and comments are reported, not indexed.

Not python-docx: it shows neither Word's page marks, text boxes, notes nor list numbers, so that most of this walk would
stand beside it all the same, and its import takes longer than reading a letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from retrieval.parsing import ooxml
from retrieval.parsing.archives import Archive, attribute, local
from retrieval.parsing.attachments import read_pictures
from retrieval.parsing.base import Context, Source
from retrieval.parsing.docx_styles import Style, child, read_numbering, read_styles, switched, value
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import row_lines
from retrieval.schema import ParsedDocument

_SKIPPED = frozenset(
    [
        "del",
        "moveFrom",
        "delText",
        "delInstrText",
        "instrText",
        "Fallback",
        "pPr",
        "rPr",
        "rt",
        "sectPr",
        "commentRangeStart",
        "annotationRef",
    ]
)
_SENTENCE_END = re.compile(r"[.!?][\"”’)]?(?=\s|$)|[。！？][”’」）]?")
_PLAIN = Style(0, None, None, hidden=False)


def parse(source: Source, context: Context) -> ParsedDocument:
    """The body in order; notes follow on the page that refers to them."""
    archive = Archive(source.data, context.limits)
    part = ooxml.main_part(archive, "word/document.xml")
    return _Reader(archive, part, context).read(source.media_type)


class _Reader:
    """One document: carries styles, list counters and notes through the walk."""

    def __init__(self, archive: Archive, part: str, context: Context) -> None:
        self._archive = archive
        self._root = archive.xml(part)
        self._relations = ooxml.relations(archive, part)
        parts = {relation.kind: relation.target for relation in self._relations.values() if not relation.external}
        self._styles = read_styles(archive, parts.get("styles", "word/styles.xml"))
        self._numbering = read_numbering(archive, parts.get("numbering", "word/numbering.xml"))
        self._waiting: list[str] = []
        marks = {local(e) for e in self._root.iter() if local(e) == "lastRenderedPageBreak" or _is_page_break(e)}
        self._paged = bool(marks)
        # How a section begins stands in its own properties, which are at its end: a break's kind is the next one's.
        kinds = [value(e, "type") for e in self._root.iter() if local(e) == "sectPr"]
        self._sections = iter(kinds[1:])
        self._ordered = False  # the last break was asked for; Word's own mark of the same break may follow
        # Without Word's own marks nobody knows where a long stretch between explicit breaks turns the page.
        capacity = 4 if "lastRenderedPageBreak" in marks else 2
        self._writer = PageWriter(context.limits, flow=not self._paged, capacity=capacity)
        self._title: str | None = None
        self._context = context
        self._boxes: list[Element] = []
        self._tables = 0
        self._notes: dict[str, dict[str, str]] = {}
        for kind in ("footnote", "endnote"):
            self._notes[kind] = self._note_texts(parts.get(kind + "s", f"word/{kind}s.xml"))

    def read(self, media_type: str) -> ParsedDocument:
        ooxml.warn_of_macros(self._archive, self._writer)
        body = child(self._root, "body")
        if self._paged:
            self._writer.start()
        self._margins("header")
        if body is not None:
            self._blocks(body)
        self._flush_notes()
        self._margins("footer")
        for gone in (e for e in self._root.iter() if local(e) in ("del", "moveFrom")):
            words = (e.text or "" for e in gone.iter() if local(e) in ("delText", "t"))
            self._writer.hide("".join(words), "deleted text")
        ooxml.report_comments(self._archive, self._relations, self._writer)
        read_pictures(self._archive, "word/media/", self._writer, self._context)
        return self._writer.document(media_type, ooxml.title(self._archive) or self._title)

    def _margins(self, kind: str) -> None:
        """Header or footer texts, each distinct one once."""
        seen: set[str] = set()
        for relation in self._relations.values():
            if relation.kind != kind or relation.external:
                continue
            root = self._archive.optional_xml(relation.target)
            for paragraph in root.iter() if root is not None else ():
                if local(paragraph) == "p":
                    text, _early, _late = self._paragraph_text(paragraph)
                    if text.strip(" -–—/|0123456789") and text not in seen:
                        seen.add(text)
                        self._writer.add("caption", text)
        self._boxes.clear()

    def _blocks(self, parent: Element) -> None:
        for element in parent:
            name = local(element)
            if name == "p":
                self._paragraph(element)
            elif name == "tbl":
                self._table(element)
            elif name in (
                "sdt",
                "sdtContent",
                "customXml",
                "ins",
                "moveTo",
                "AlternateContent",
                "Choice",
                "smartTag",
            ):
                self._blocks(element)

    def _paragraph(self, element: Element) -> None:
        properties = child(element, "pPr")
        text, early, late = self._paragraph_text(element)
        if switched(properties, "pageBreakBefore"):
            self._break()
        for ordered in early:
            self._break(ordered=ordered)
        style = self._styles.get(value(properties, "pStyle") or "", _PLAIN)
        outline = value(properties, "outlineLvl")
        level = min(6, int(outline) + 1) if outline and outline.isdigit() and int(outline) < 9 else style.level
        number, depth = self._number(properties, style, bool(text.strip()))
        if text.strip():
            if level and len(text) <= 300:
                self._writer.add("heading", f"{number} {text}", level)
                self._title = self._title or text
            else:
                text = f"{number} {text}" if depth is not None else text
                late = self._over_pages(text, late, depth)
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self._blocks(box)
        section = child(properties, "sectPr")
        for ordered in late:
            self._break(ordered=ordered)
        if section is not None and next(self._sections, None) in (None, "nextPage", "oddPage", "evenPage"):
            self._break()

    def _over_pages(self, text: str, breaks: list[bool], depth: int | None) -> list[bool]:
        """Write a paragraph, each sentence on the page on which it begins; returns the breaks still to come."""
        pieces = _whole_sentences(text.split("\f"))
        for index, piece in enumerate(pieces):
            if index:
                self._break(ordered=breaks[index - 1])
            if depth is not None and not index:
                self._writer.add("list_item", piece, min(6, depth))
            else:
                self._writer.add("paragraph", piece)
        return breaks[len(pieces) - 1 :]

    def _number(self, properties: Element | None, style: Style, counted: bool) -> tuple[str, int | None]:
        """The list label of a paragraph and its depth; None when it belongs to no list."""
        reference = child(properties, "numPr")
        num_id, at = style.num_id, style.num_level or 0
        if reference is not None:
            num_id = value(reference, "numId") or num_id
            own = value(reference, "ilvl")
            at = int(own) if own and own.isdigit() else at
        if num_id is None or num_id == "0" or not counted:
            return "", None
        return self._numbering.label(num_id, at), at

    def _break(self, *, ordered: bool = True) -> None:
        """Turn the page; also an empty one (a picture alone), so that the numbers stay Word's. `ordered`: by the
        author, not noted by Word when it laid the text out; Word notes ordered breaks once more."""
        if not self._paged or (self._ordered and not ordered and self._writer.empty):
            self._ordered = False
            return
        self._flush_notes()
        self._writer.start()
        self._ordered = ordered
        self._context.progress(self._writer.number, None)

    def _flush_notes(self) -> None:
        for note in self._waiting:
            self._writer.add("paragraph", note)
        self._waiting.clear()

    def _paragraph_text(self, paragraph: Element) -> tuple[str, list[bool], list[bool]]:
        """Its visible text; the page breaks before the text, and those in or after it (true: ordered by the author),
        each a form feed in the text."""
        parts: list[str] = []
        early: list[bool] = []
        late: list[bool] = []
        style = self._styles.get(value(child(paragraph, "pPr"), "pStyle") or "", _PLAIN)
        for run, element in _inline(paragraph, None):
            name = local(element)
            if name == "lastRenderedPageBreak" or _is_page_break(element):
                written = any(part.strip() for part in parts)
                (late if written else early).append(name == "br")
                if written:
                    parts.append("\f")
            elif name == "txbxContent":
                self._boxes.append(element)
            elif name in ("footnoteReference", "endnoteReference"):
                note = self._notes.get(name[:-9], {}).get(attribute(element, "id") or "")
                if note:
                    self._waiting.append(note)
            elif text := _character(name, element):
                if reason := self._hidden(run, style):
                    self._writer.hide(text, reason)
                else:
                    parts.append(text)
        return "".join(parts), early, late

    def _hidden(self, run: Element | None, style: Style) -> str | None:
        """Why nobody sees a run in a paragraph of this style; what the run says itself comes before both styles."""
        properties = child(run, "rPr")
        if switched(properties, "vanish"):
            return "hidden text"
        own = self._styles.get(value(properties, "rStyle") or "", _PLAIN)
        if child(properties, "vanish") is None and (own.hidden or style.hidden):
            return "hidden style"
        if properties is None:
            return None
        size = value(properties, "sz")
        if size is not None and size.isdigit() and int(size) <= 3:
            return "too small to read"
        white = (value(properties, "color") or "").upper() == "FFFFFF"
        shading = child(properties, "shd")
        fill = (attribute(shading, "fill") or "auto").upper() if shading is not None else "AUTO"
        shaded = fill not in ("AUTO", "FFFFFF") or child(properties, "highlight") is not None
        if white and not shaded and not self._tables and not self._on_dark:
            return "white text"
        return None

    @property
    def _on_dark(self) -> bool:
        """Whether the page itself has a background, on which white text would be visible."""
        return child(self._root, "background") is not None

    def _table(self, table: Element) -> None:
        rows: list[list[str]] = []
        header: bool | None = None
        above: dict[int, str] = {}
        self._tables += 1
        trs = [row for row in _through(table) if local(row) == "tr"]
        broke = False
        for index, row in enumerate(trs):
            if index == 0 and switched(child(row, "trPr"), "tblHeader"):
                header = True
            cells: list[str] = []
            for cell in (item for item in _through(row) if local(item) == "tc"):
                properties = child(cell, "tcPr")
                text, broken = self._cell(cell)
                broke = broke or broken
                if child(properties, "cellDel") is not None:
                    self._writer.hide(text, "deleted text")
                    text = ""
                merge = child(properties, "vMerge")
                if merge is not None and attribute(merge, "val") != "restart":
                    text = text or above.get(len(cells), "")
                above[len(cells)] = text
                cells.append(text)
                span = value(properties, "gridSpan") or "1"
                cells.extend([""] * (min(int(span), 64) - 1 if span.isdigit() else 0))
            shape = child(row, "trPr")
            if child(shape, "del") is not None or switched(shape, "hidden"):
                reason = "deleted text" if child(shape, "del") is not None else "hidden row"
                self._writer.hide(" | ".join(cell for cell in cells if cell), reason)
            else:
                rows.append(cells)
        self._tables -= 1
        if max((len(cells) for cells in rows), default=0) == 1:
            for cells in rows:
                self._writer.add("paragraph", cells[0])
        else:
            for line in row_lines(rows, header=header):
                self._writer.add("table_row", line)
        if broke:
            self._break(ordered=False)
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self._blocks(box)

    def _cell(self, cell: Element) -> tuple[str, bool]:
        texts: list[str] = []
        broken = False
        stack = list(reversed(cell))
        while stack:
            element = stack.pop()
            if local(element) == "p":
                text, early, late = self._paragraph_text(element)
                broken = broken or bool(early or late)
                texts.append(text)
            elif local(element) not in _SKIPPED:
                stack.extend(reversed(element))
        return " ".join(text for text in texts if text.strip()), broken

    def _note_texts(self, part: str) -> dict[str, str]:
        root = self._archive.optional_xml(part)
        found: dict[str, str] = {}
        for note in root if root is not None else ():
            if attribute(note, "type") in (None, "normal"):
                texts = [self._paragraph_text(e)[0].replace("\f", " ").strip() for e in note.iter() if local(e) == "p"]
                found[attribute(note, "id") or ""] = " ".join(text for text in texts if text)
        self._boxes.clear()
        return found


def _whole_sentences(pieces: list[str]) -> list[str]:
    """The parts of a paragraph on successive pages; the rest of a sentence goes to where it began."""
    whole = pieces[:1]
    for piece in pieces[1:]:
        end = None if _SENTENCE_END.search(whole[-1].rstrip()[-2:]) else _SENTENCE_END.search(piece)
        cut = end.end() if end is not None else 0
        whole[-1] += piece[:cut]
        whole.append(piece[cut:])
    return whole


def _through(parent: Element) -> Iterator[Element]:
    """Children, looking through content controls and tracked insertions."""
    for element in parent:
        if local(element) in ("sdt", "sdtContent", "customXml", "ins", "moveTo"):
            yield from _through(element)
        else:
            yield element


def _inline(parent: Element, run: Element | None) -> Iterator[tuple[Element | None, Element]]:
    """Leaf elements of a paragraph in order, each with the run it stands in; text boxes as a whole."""
    for element in parent:
        name = local(element)
        if name in _SKIPPED:
            continue
        if name == "txbxContent" or len(element) == 0:
            yield run, element
        else:
            yield from _inline(element, element if name == "r" else run)


def _is_page_break(element: Element) -> bool:
    return local(element) == "br" and attribute(element, "type") == "page"


def _character(name: str, element: Element) -> str:
    if name == "t":
        return element.text or ""
    if name in ("tab", "br", "cr", "ptab"):
        return " "
    if name == "noBreakHyphen":
        return "-"
    if name == "sym":
        code = attribute(element, "char") or ""
        return _symbol(code)
    return ""


def _symbol(code: str) -> str:
    try:
        number = int(code, 16)
    except ValueError:
        return ""
    number -= 0xF000 if 0xF000 <= number <= 0xF0FF else 0
    return {0xFE: "☑", 0xA8: "☐", 0xFC: "✓", 0xB7: "•", 0xE0: "→"}.get(number, "")
