"""Blocks to Word, PowerPoint and Excel files, with fixed dates so that the same blocks give the same bytes.

In a presentation every first-level heading begins a slide; in a workbook it begins a sheet.
"""

import datetime as dt
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docx
import pptx
import xlsxwriter
from docx.oxml.ns import qn
from docx.shared import Pt
from docx.text.paragraph import Paragraph as WordParagraph
from pptx.slide import Slide
from pptx.util import Inches, Length
from pptx.util import Pt as SlidePt

from assistant.demo.blocks import BOLD, Block, Heading, ListBlock, PageBreak, Paragraph, Source, Table, plain

_EPOCH = dt.datetime(2026, 1, 1)  # noqa: DTZ001  # Office properties carry no zone
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def _fix_times(path: Path) -> None:
    """Rewrite a zip with fixed member times: the libraries stamp the present."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def _bold_parts(text: str) -> Iterator[tuple[str, bool]]:
    for number, part in enumerate(BOLD.split(text)):
        if part:
            yield part, number % 2 == 1


def write_docx(source: Source, path: Path) -> None:
    document = docx.Document()
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(10.5)
    document.styles["Normal"].element.rPr.rFonts.set(qn("w:eastAsia"), "SimSun")
    properties = document.core_properties
    properties.title, properties.author = source.meta["title"], "Tarnwald Flow Systems"
    properties.created = properties.modified = _EPOCH
    document.add_heading(source.meta["title"], 0)
    details = [str(source.meta[key]) for key in ("number", "version", "date", "subtitle") if key in source.meta]
    if details:
        document.add_paragraph(" · ".join(details))
    for block in source.blocks:
        match block:
            case Heading(level, text):
                document.add_heading(text, level)
            case Paragraph(text):
                _add_runs(document.add_paragraph(), text)
            case ListBlock(items, ordered):
                for item in items:
                    _add_runs(document.add_paragraph(style="List Number" if ordered else "List Bullet"), item)
            case Table(rows):
                grid = document.add_table(len(rows), len(rows[0]), style="Table Grid")
                for row, cells in zip(rows, grid.rows, strict=True):
                    for text, cell in zip(row, cells.cells, strict=True):
                        cell.text = plain(text)
            case PageBreak():
                document.add_page_break()  # type: ignore[no-untyped-call]
    document.save(str(path))
    _fix_times(path)


def _add_runs(paragraph: WordParagraph, text: str) -> None:
    for part, bold in _bold_parts(text):
        paragraph.add_run(part).bold = bold


def _by_heading(source: Source) -> list[tuple[str, list[Block]]]:
    """The blocks grouped under their first-level headings."""
    groups: list[tuple[str, list[Block]]] = []
    for block in source.blocks:
        if isinstance(block, Heading) and block.level == 1:
            groups.append((block.text, []))
        else:
            groups[-1][1].append(block)
    return groups


def write_pptx(source: Source, path: Path) -> None:
    deck = pptx.Presentation()
    deck.core_properties.title, deck.core_properties.author = source.meta["title"], "Tarnwald Flow Systems"
    deck.core_properties.created = deck.core_properties.modified = _EPOCH
    cover = deck.slides.add_slide(deck.slide_layouts[0])
    cover.shapes.title.text = source.meta["title"]
    cover.placeholders[1].text = str(source.meta.get("subtitle", ""))
    for title, blocks in _by_heading(source):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        frame = slide.placeholders[1].text_frame
        lines = [plain(line) for block in blocks for line in (block.items if isinstance(block, ListBlock) else ())]
        for number, line in enumerate(lines):
            paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
            paragraph.text = line
            paragraph.font.size = SlidePt(20)
        for block in blocks:
            if isinstance(block, Table):
                _add_slide_table(slide, block, Inches(1.8 + 0.55 * len(lines)))
            elif isinstance(block, Paragraph):  # what the speaker says stands in the notes
                slide.notes_slide.notes_text_frame.text = plain(block.text)
        if not lines:
            slide.placeholders[1].element.getparent().remove(slide.placeholders[1].element)
    deck.save(str(path))
    _fix_times(path)


def _add_slide_table(slide: Slide, table: Table, top: Length) -> None:
    rows, columns = len(table.rows), len(table.rows[0])
    shape = slide.shapes.add_table(rows, columns, Inches(0.6), top, Inches(8.8), Inches(0.4 * rows))
    for r, row in enumerate(table.rows):
        for c, text in enumerate(row):
            cell = shape.table.cell(r, c)
            cell.text = plain(text)
            cell.text_frame.paragraphs[0].font.size = SlidePt(14)


def write_xlsx(source: Source, path: Path) -> None:
    book = xlsxwriter.Workbook(str(path))
    book.set_properties({"title": source.meta["title"], "author": "Tarnwald Flow Systems", "created": _EPOCH})
    bold = book.add_format({"bold": True, "bottom": 1})
    for title, blocks in _by_heading(source):
        sheet = book.add_worksheet(title)
        row = 0
        for block in blocks:
            if isinstance(block, Paragraph):
                sheet.write_string(row, 0, plain(block.text))
                row += 1
            elif isinstance(block, Table):
                for number, cells in enumerate(block.rows):
                    for column, text in enumerate(cells):
                        if number == 0:
                            sheet.write_string(row, column, text, bold)
                        elif _NUMBER.fullmatch(text):
                            sheet.write_number(row, column, float(text))
                        else:
                            sheet.write_string(row, column, text)
                    row += 1
                for column in range(len(block.rows[0])):
                    width = max(len(cells[column].encode("gb18030")) for cells in block.rows)
                    sheet.set_column(column, column, min(width + 2, 50))
    book.close()
    _fix_times(path)
