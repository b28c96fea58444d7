"""Blocks to PDF: cover, contents, headings, tables, headers and page numbers, with the Chinese font embedded.

Knows ReportLab; knows nothing about what the documents say. The same blocks give the same bytes.
"""

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    LongTable,
    NextPageTemplate,
    PageTemplate,
    Spacer,
    TableStyle,
)
from reportlab.platypus import PageBreak as NewPage
from reportlab.platypus import Paragraph as Text
from reportlab.platypus.tableofcontents import TableOfContents

from assistant.demo.blocks import BOLD, Block, Heading, ListBlock, PageBreak, Paragraph, Source, Table, plain

CJK_FONT = "DemoSansCJK"
_CJK_RUN = re.compile(r"[\u3000-\u9fff\uff00-\uffef]+")
_INK = colors.HexColor("#16324f")
_RULE = colors.HexColor("#9fb3c8")


def _register_font() -> None:
    if CJK_FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(CJK_FONT, Path(__file__).parent / "fonts" / "DemoSansCJK.ttf"))
        pdfmetrics.registerFontFamily(CJK_FONT, normal=CJK_FONT, bold=CJK_FONT, italic=CJK_FONT, boldItalic=CJK_FONT)


def _markup(text: str) -> str:
    """ReportLab's inline markup: bold, and Chinese runs in the embedded font."""
    text = BOLD.sub(r"<b>\1</b>", escape(text))
    return _CJK_RUN.sub(lambda run: f'<font name="{CJK_FONT}">{run[0]}</font>', text)


class _Styles:
    """The paragraph styles of one document; Chinese text breaks between any two characters."""

    def __init__(self, language: str) -> None:
        wrap: dict[str, Any] = {"wordWrap": "CJK"} if language == "zh" else {}
        self.body = ParagraphStyle("body", fontName="Helvetica", fontSize=10.6, leading=15.8, spaceAfter=7, **wrap)
        self.item = ParagraphStyle("item", self.body, leftIndent=14, bulletIndent=2, spaceAfter=3)
        self.cell = ParagraphStyle("cell", self.body, fontSize=9.4, leading=12.6, spaceAfter=0)
        self.head = ParagraphStyle("head", self.cell, fontName="Helvetica-Bold", textColor=colors.white)
        self.small_cell = ParagraphStyle("small cell", self.cell, fontSize=8, leading=10.5)
        self.small_head = ParagraphStyle("small head", self.head, fontSize=8, leading=10.5)
        self.small = ParagraphStyle("small", self.body, fontSize=7.6, leading=9.5, textColor=_INK)
        self.title = ParagraphStyle(
            "title", self.body, fontName="Helvetica-Bold", fontSize=20, leading=25, textColor=_INK, spaceAfter=12
        )
        self.headings = [
            ParagraphStyle(
                f"h{level}", self.body, fontName="Helvetica-Bold", fontSize=size, leading=size * 1.3,
                textColor=_INK, spaceBefore=before, spaceAfter=5, keepWithNext=1,
            )
            for level, size, before in ((1, 15, 0), (2, 11.5, 9), (3, 10, 6))
        ]  # fmt: skip
        self.toc = [ParagraphStyle("toc", self.body, fontSize=9, leading=12.5, spaceAfter=0, **wrap)]


class _Template(BaseDocTemplate):  # type: ignore[misc]  # ReportLab has no types
    """Page frame with running header and footer; tells the table of contents about first-level headings."""

    def __init__(self, path: Path, source: Source, styles: _Styles) -> None:
        meta = source.meta
        size = A5 if meta.get("page") == "a5" else A4
        margin = (17 if size is A5 else 24) * mm
        super().__init__(
            str(path), pagesize=size, leftMargin=margin, rightMargin=margin, topMargin=20 * mm,
            bottomMargin=18 * mm, title=meta["title"], author="Tarnwald Flow Systems", invariant=1,
        )  # fmt: skip
        self._meta, self._styles, self._margin = meta, styles, margin
        frame = Frame(
            margin, 18 * mm, size[0] - 2 * margin, size[1] - 38 * mm,
            leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0,
        )  # fmt: skip
        self.addPageTemplates([PageTemplate("cover", [frame]), PageTemplate("body", [frame], onPage=self._decorate)])

    def _decorate(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        width, height = document.pagesize
        zh = self._meta["language"] == "zh"
        number = f"第 {document.page} 页" if zh else f"Page {document.page}"
        edition = " · ".join(str(self._meta[key]) for key in ("number", "version") if key in self._meta)
        for text, y in ((f"Tarnwald Flow Systems · {self._meta['title']}", height - 14 * mm),
                        (f"{edition} · {number}" if edition else number, 9 * mm)):  # fmt: skip
            line = Text(_markup(text), self._styles.small)
            line.wrapOn(canvas, width - 2 * self._margin, 20)
            line.drawOn(canvas, self._margin, y)
        canvas.setStrokeColor(_RULE)
        canvas.line(self._margin, height - 15.5 * mm, width - self._margin, height - 15.5 * mm)
        canvas.line(self._margin, 14 * mm, width - self._margin, 14 * mm)

    def afterFlowable(self, flowable: Flowable) -> None:
        if getattr(flowable, "toc_text", None):
            self.notify("TOCEntry", (0, flowable.toc_text, self.page))


def _column_widths(table: Table, font: str, size: float, width: float) -> list[float]:
    """Widths in points by the length of the longest cell, but never less than its longest word needs.

    Short cells count as one word, so that "TFC 100" or a part number stays on one line wherever the page allows.
    """
    columns = list(zip(*table.rows, strict=True))
    wish = [min(max(max(len(cell.encode("gb18030")) for cell in column), 4), 44) for column in columns]

    def needed(whole: int) -> list[float]:
        def word_width(cell: str) -> float:
            words = [cell] if len(cell) <= whole else cell.split() or [cell]
            return max(float(pdfmetrics.stringWidth(_CJK_RUN.sub(" ", word), font, size)) for word in words)

        return [max(word_width(plain(cell) or " ") for cell in column) + 9 for column in columns]

    for least in (needed(whole=12), needed(whole=0)):
        if (spare := width - sum(least)) >= 0:
            return [points + spare * share / sum(wish) for points, share in zip(least, wish, strict=True)]
    return [width * share / sum(wish) for share in wish]


def _table(table: Table, styles: _Styles, width: float) -> LongTable:
    head, cell = (styles.head, styles.cell) if len(table.rows[0]) < 6 else (styles.small_head, styles.small_cell)
    flow = LongTable(
        [[Text(_markup(text), cell if number else head) for text in row] for number, row in enumerate(table.rows)],
        colWidths=_column_widths(table, head.fontName, head.fontSize, width),
        repeatRows=1, spaceBefore=4, spaceAfter=9,
    )  # fmt: skip
    flow.setStyle(
        TableStyle([
            ("BACKGROUND", (0, 0), (-1, 0), _INK),
            ("LINEBELOW", (0, 1), (-1, -1), 0.4, _RULE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 3),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ("LEFTPADDING", (0, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ])
    )  # fmt: skip
    return flow


def _flow(block: Block, styles: _Styles, width: float) -> list[Flowable]:
    match block:
        case Heading(level, text):
            heading = Text(_markup(text), styles.headings[level - 1])
            heading.toc_text = _markup(plain(text)) if level == 1 else None
            return [heading]
        case Paragraph(text):
            return [Text(_markup(text), styles.body)]
        case ListBlock(items, ordered):
            marks = [f"{n}." if ordered else "•" for n in range(1, len(items) + 1)]
            flows = [Text(_markup(item), styles.item, bulletText=mark)
                     for item, mark in zip(items, marks, strict=True)]  # fmt: skip
            return [*flows, Spacer(0, 4)]
        case Table():
            return [_table(block, styles, width)]
        case PageBreak():
            return [NewPage()]


def _front(source: Source, styles: _Styles) -> list[Flowable]:
    """The title with its data; with `cover: true` a page of its own and a contents page after it."""
    meta = source.meta
    title = [Text(_markup(meta["title"]), styles.title)]
    details = [str(meta[key]) for key in ("number", "version", "date", "subtitle") if key in meta]
    title += [Text(_markup(line), styles.body) for line in details]
    if not meta.get("cover"):
        return [*title, Spacer(0, 10)]
    contents = TableOfContents(dotsMinLevel=0, levelStyles=styles.toc)
    word = "目录" if meta["language"] == "zh" else "Contents"
    name = Text("Tarnwald Flow Systems GmbH", styles.headings[1])
    return [Spacer(0, 45 * mm), name, *title, NextPageTemplate("body"), NewPage(),
            Text(_markup(word), styles.headings[0]), contents, NewPage()]  # fmt: skip


def write_pdf(source: Source, path: Path) -> None:
    """Write the document; every first-level heading of a document with a cover begins a page."""
    _register_font()
    styles = _Styles(source.meta["language"])
    template = _Template(path, source, styles)
    cover = bool(source.meta.get("cover"))
    story: list[Flowable] = [*_front(source, styles)]
    if not cover:
        story.insert(0, NextPageTemplate("body"))
        template.pageTemplates.reverse()
    for number, block in enumerate(source.blocks):
        if cover and number and isinstance(block, Heading) and block.level == 1:
            story.append(NewPage())
        story += _flow(block, styles, template.width)
    template.multiBuild(story)
