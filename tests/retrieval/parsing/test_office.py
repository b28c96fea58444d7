"""Word, PowerPoint and Excel: structure kept, pages and sheets numbered, hidden content reported."""

from __future__ import annotations

import io
from datetime import date

import docx
import openpyxl
import pptx
from docx.enum.text import WD_BREAK
from docx.shared import RGBColor
from openpyxl.styles import Font
from pptx.util import Inches

from tests.retrieval.parsing.helpers import parse, texts


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
