"""PDF: reading order, hidden text, encryption, running heads, rotation, and pictures of pages."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from retrieval.errors import CorruptDocument, EncryptedDocument
from retrieval.parsing import render_page
from tests.retrieval.parsing.helpers import TEST_LIMITS, parse, texts

WIDTH, HEIGHT = A4


def pdf(draw, *, encrypt=None, size=A4) -> bytes:
    buffer = io.BytesIO()
    sheet = canvas.Canvas(buffer, pagesize=size, encrypt=encrypt)
    draw(sheet)
    sheet.save()
    return buffer.getvalue()


def column(sheet, x, top, lines, size=10):
    sheet.setFont("Helvetica", size)
    for index, line in enumerate(lines):
        sheet.drawString(x, top - index * size * 1.3, line)


LEFT = [
    "The first column begins here and goes on",
    "for several lines, so that it is seen as run-",
    "ning text and not as the cells of a table,",
    "and it ends before the other one begins.",
    "This is the last line of the first column.",
]
RIGHT = [
    "The second column follows after the first",
    "one, although its lines stand beside those",
    "of the first on the very same baselines.",
    "Its lines are about as long as the others,",
    "and this is where the second column ends.",
]


def test_columns_are_read_one_after_the_other():
    def draw(sheet):
        for left, right, top in zip(LEFT, RIGHT, range(700, 640, -13), strict=False):
            column(sheet, 60, top, [left])
            column(sheet, 320, top, [right])

    text = parse(pdf(draw), "columns.pdf").pages[0].text
    assert "so that it is seen as running text and not" in text
    assert text.index("last line of the first column") < text.index("The second column follows")
    assert "baselines. Its lines are about" in text


def test_table_is_read_row_by_row():
    rows = [("Item", "Price", "Stock"), ("Bolt", "0.12", "400"), ("Nut", "0.05", "900"), ("Washer", "0.02", "70")]

    def draw(sheet):
        for index, row in enumerate(rows):
            for x, cell in zip((60, 200, 340), row, strict=True):
                column(sheet, x, 700 - 15 * index, [cell])

    assert parse(pdf(draw), "t.pdf").pages[0].text.splitlines() == [
        "Item | Price | Stock",
        "Item: Bolt; Price: 0.12; Stock: 400",
        "Item: Nut; Price: 0.05; Stock: 900",
        "Item: Washer; Price: 0.02; Stock: 70",
    ]


def test_hidden_text_is_reported_and_not_part_of_the_page():
    def draw(sheet):
        column(sheet, 60, 700, ["Everyone may read this line."])
        sheet.setFillColorRGB(1, 1, 1)
        column(sheet, 60, 650, ["white on white"])
        sheet.setFillColorRGB(0, 0, 0)
        column(sheet, 60, 600, ["far too small"], size=1)
        column(sheet, 60, 5000, ["off the page"])
        sheet.saveState()
        text = sheet.beginText(60, 550)
        text.setTextRenderMode(3)
        text.textLine("never painted")
        sheet.drawText(text)
        sheet.restoreState()
        column(sheet, 60, 500, ["under a black bar"])
        sheet.rect(50, 490, 300, 30, fill=1, stroke=0)

    document = parse(pdf(draw), "hidden.pdf")
    assert document.pages[0].text == "Everyone may read this line."
    assert {entry.text for entry in document.hidden_text} == {
        "white on white", "far too small", "off the page", "never painted", "under a black bar",
    }  # fmt: skip


def test_white_text_on_a_dark_background_is_visible():
    def draw(sheet):
        sheet.rect(50, 690, 300, 30, fill=1, stroke=0)
        sheet.setFillColorRGB(1, 1, 1)
        column(sheet, 60, 700, ["A heading in reverse"])

    assert parse(pdf(draw), "reverse.pdf").pages[0].text == "A heading in reverse"


def test_running_heads_do_not_interrupt_sentences():
    def draw(sheet):
        for number in range(1, 6):
            column(sheet, 60, 810, ["Example Company - Handbook"], size=8)
            column(sheet, 60, 700, [f"Body text of page number {number} is different on every page."])
            column(sheet, 280, 30, [f"Page {number} of 5"], size=8)
            sheet.showPage()

    document = parse(pdf(draw), "book.pdf")
    assert document.pages[0].text.startswith("Example Company - Handbook")
    assert [page.text for page in document.pages[1:]] == [
        f"Body text of page number {number} is different on every page." for number in range(2, 6)
    ]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotated_pages_read_like_upright_ones(turn):
    def draw(sheet):
        sheet.setPageRotation(turn)
        # reportlab lays a page that is turned by a quarter on its side.
        sheet.translate(*{90: (HEIGHT, 0), 180: (WIDTH, HEIGHT), 270: (0, WIDTH)}[turn])
        sheet.rotate(turn)
        column(sheet, 60, 400, ["A line that was turned,", "and the one below it."])

    document = parse(pdf(draw), "turned.pdf")
    assert document.pages[0].text == "A line that was turned, and the one below it."


def test_headings_come_from_type_size():
    def draw(sheet):
        column(sheet, 60, 780, ["Security rules"], size=22)
        column(sheet, 60, 740, ["Passwords"], size=15)
        column(sheet, 60, 710, ["Passwords have at least fourteen characters and are never", "shared with anyone."])

    document = parse(pdf(draw), "rules.pdf")
    assert document.title == "Security rules"
    assert [(b.kind, b.level) for b in document.pages[0].blocks] == [("heading", 1), ("heading", 2), ("paragraph", 0)]


def test_encrypted_pdf_says_so():
    with pytest.raises(EncryptedDocument):
        parse(pdf(lambda sheet: sheet.drawString(9, 9, "x"), encrypt="secret"), "locked.pdf")


def test_broken_pdf_is_corrupt():
    with pytest.raises(CorruptDocument):
        parse(b"%PDF-1.7\nnothing else", "broken.pdf")


def test_picture_of_a_page_shows_where_a_quote_stands():
    data = pdf(lambda sheet: column(sheet, 60, 700, LEFT))
    with tempfile.NamedTemporaryFile(suffix=".pdf") as stream:
        stream.write(data)
        stream.flush()
        page = render_page(
            Path(stream.name),
            1,
            limits=TEST_LIMITS,
            width=600,
            quotes=["seen as running text", "not in there"],
        )
    assert page.png.startswith(b"\x89PNG")
    assert (page.width, page.height) == (600, 849)
    first, second = page.boxes
    assert len(first) == 2
    assert second == ()
    assert abs(first[0].y0 - (HEIGHT - 700 + 4) / HEIGHT) < 0.02
    assert first[0].x1 > first[1].x1
    assert texts(parse(data, "x.pdf"))[0][0] == "paragraph"


def test_rows_of_a_table_with_empty_cells_stay_rows():
    rows = [("Code", "Place", "Sum", "State"), ("S1", "A12", "", ""), ("", "", "9", "late"), ("S2", "", "7", ""),
            ("", "B07", "", "open")]  # fmt: skip

    def draw(sheet):
        for index, row in enumerate(rows):
            for x, cell in zip((60, 160, 260, 360), row, strict=True):
                column(sheet, x, 700 - 20 * index, [cell])

    text = parse(pdf(draw), "sparse.pdf").pages[0].text
    assert text.splitlines() == [
        "Code | Place | Sum | State",
        "Code: S1; Place: A12",
        "Sum: 9; State: late",
        "Code: S2; Sum: 7",
        "Place: B07; State: open",
    ]


def test_placeholder_titles_are_no_titles():
    assert parse(pdf(lambda sheet: column(sheet, 60, 700, ["Only text."])), "x.pdf").title is None
