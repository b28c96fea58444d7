"""Word, PowerPoint and Excel: structure kept, pages and sheets numbered, hidden content reported."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date

import docx
import openpyxl
import pptx
from docx.enum.text import WD_BREAK
from docx.shared import RGBColor
from openpyxl.styles import Font
from pptx.util import Inches

from tests.retrieval.parsing.helpers import parse, texts
from tests.retrieval.parsing.samples import packed


def word(document) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_word_headings_lists_tables_and_page_breaks():
    source = docx.Document()
    source.core_properties.title = "Travel rules"
    source.add_heading("Travel", 1)
    source.add_paragraph("Trains are preferred.")
    source.add_paragraph("Ask first", style="List Number")
    source.add_paragraph("Book later", style="List Number")
    source.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    source.add_heading("Rates", 2)
    table = source.add_table(rows=3, cols=3)
    for row, cells in zip(
        table.rows, [("City", "Hotel", "Meals"), ("Oslo", "180", "70"), ("Rome", "150", "55")], strict=True
    ):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    source.sections[0].header.paragraphs[0].text = "Example Company"
    document = parse(word(source), "travel.docx")
    assert document.title == "Travel rules"
    assert [page.number for page in document.pages] == [1, 2]
    assert texts(document) == [
        ("caption", "Example Company"),
        ("heading", "Travel"),
        ("paragraph", "Trains are preferred."),
        ("list_item", "1. Ask first"),
        ("list_item", "2. Book later"),
        ("heading", "Rates"),
        ("table_row", "City: Oslo; Hotel: 180; Meals: 70"),
        ("table_row", "City: Rome; Hotel: 150; Meals: 55"),
    ]
    assert document.pages[1].text.startswith("Rates")


def test_word_hidden_and_white_text_is_reported_not_indexed():
    source = docx.Document()
    paragraph = source.add_paragraph("Visible. ")
    paragraph.add_run("secret").font.hidden = True
    paragraph.add_run("ghost").font.color.rgb = RGBColor(255, 255, 255)
    document = parse(word(source), "a.docx")
    assert document.pages[0].text == "Visible."
    assert {(h.text, h.reason) for h in document.hidden_text} == {("secret", "hidden text"), ("ghost", "white text")}


def test_word_without_pages_is_divided_at_headings():
    source = docx.Document()
    for number in range(6):
        source.add_heading(f"Part {number}", 1)
        for _ in range(12):
            source.add_paragraph("A sentence of ordinary length that fills the page. " * 4)
    document = parse(word(source), "long.docx")
    assert len(document.pages) >= 4
    assert all(len(page.text) <= 4000 for page in document.pages)
    assert document.pages[0].label == "Part 0"


def test_slides_are_pages_with_titles_tables_and_notes():
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Results"
    slide.placeholders[1].text = "Revenue grew\nCosts fell"
    slide.notes_slide.notes_text_frame.text = "Thank the team."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Numbers"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for (row, column), text in {(0, 0): "Quarter", (0, 1): "Sales", (1, 0): "Q1", (1, 1): "12 M"}.items():
        table.cell(row, column).text = text
    buffer = io.BytesIO()
    deck.save(buffer)
    document = parse(buffer.getvalue(), "deck.pptx")
    assert [(page.number, page.label) for page in document.pages] == [(1, "Results"), (2, "Numbers")]
    assert document.pages[0].text == "Results\nRevenue grew\nCosts fell\nThank the team."
    assert document.pages[1].text == "Numbers\nQuarter: Q1; Sales: 12 M"


def test_sheet_rows_show_values_as_excel_does():
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["Price list 2026"])
    sheet.append([])
    sheet.append(["Item", "Price", "Discount", "From"])
    sheet.append(["Bolt", 1234.5, 0.125, date(2026, 3, 1)])
    for cell in sheet[3]:
        cell.font = Font(bold=True)
    sheet["B4"].number_format = "#,##0.00 [$€-407]"
    sheet["C4"].number_format = "0.0%"
    sheet["D4"].number_format = "dd/mm/yyyy"
    hidden = book.create_sheet("Margins")
    hidden.append(["secret margin", 0.4])
    hidden.sheet_state = "hidden"
    buffer = io.BytesIO()
    book.save(buffer)
    document = parse(buffer.getvalue(), "prices.xlsx")
    assert texts(document) == [
        ("heading", "Prices"),
        ("table_row", "Price list 2026"),
        ("table_row", "Item: Bolt; Price: 1,234.50 €; Discount: 12.5%; From: 01/03/2026"),
    ]
    assert document.pages[0].label == "Prices"
    assert [h.text for h in document.hidden_text] == ["secret margin | 0.4"]


def _paged_word(*paragraphs: str) -> bytes:
    """A Word file of these runs: "|" is a page break that Word noted, "#" one that the author ordered."""
    marks = {"|": "<w:lastRenderedPageBreak/>", "#": '<w:br w:type="page"/>'}
    body = ""
    for text in paragraphs:
        runs = "".join(
            marks.get(part) or f'<w:t xml:space="preserve">{part}</w:t>' for part in re.split(r"([|#])", text) if part
        )
        body += f"<w:p><w:r>{runs}</w:r></w:p>" if not text.startswith("<") else text
    buffer = io.BytesIO()
    document = docx.Document()
    document.save(buffer)
    with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as old:
        members = {name: old.read(name) for name in old.namelist()}
    main = members["word/document.xml"].decode()
    start, end = main.index("<w:body>") + len("<w:body>"), main.index("</w:body>")
    members["word/document.xml"] = (main[:start] + body + main[end:]).encode()
    return packed(members)


def _pages(data: bytes) -> list[str]:
    return [page.text for page in parse(data, "paged.docx").pages]


def test_a_paragraph_over_two_pages_is_cited_where_each_sentence_begins():
    data = _paged_word("It begins here. This sentence runs |over the edge. This one is on page two. And |so on. Three.")
    assert _pages(data) == [
        "It begins here. This sentence runs over the edge.",
        "This one is on page two. And so on.",
        "Three.",
    ]


def test_an_ordered_break_that_word_noted_too_turns_one_page():
    assert _pages(_paged_word("One.#", "|Two.", "|Three.")) == ["One.", "Two.", "Three."]


def test_pages_without_text_keep_their_numbers():
    assert _pages(_paged_word("", "|One is a picture.", "|", "|Four.")) == ["", "One is a picture.", "", "Four."]


def test_a_section_begins_a_page_only_when_it_says_so_itself():
    plain = "<w:p><w:pPr><w:sectPr/></w:pPr></w:p>"
    last = '<w:sectPr><w:type w:val="continuous"/></w:sectPr>'
    assert _pages(_paged_word("Title", plain, "Columns", "|Two", last)) == ["Title\nColumns", "Two"]
    assert _pages(_paged_word("Title", plain, "Next", "|Three", "<w:sectPr/>")) == ["Title", "Next", "Three"]


def test_merged_cells_name_every_row_they_stand_beside():
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["Region", "Month", "Sales"], ["North", "May", 4], [None, "June", 5], ["South", "May", 6]):
        sheet.append(row)
    sheet.merge_cells("A2:A3")
    sheet["D2"] = "=C2*2"
    buffer = io.BytesIO()
    book.save(buffer)
    document = parse(buffer.getvalue(), "sales.xlsx")
    assert "Region: North; Month: June; Sales: 5" in document.pages[0].text
    assert any("formulas have no stored value" in warning for warning in document.warnings)
