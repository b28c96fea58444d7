"""Tables in PDFs: rows carry the names of their columns where those are sure, and quotations are still found."""

from __future__ import annotations

import io
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from retrieval.chunking import chunk_document
from retrieval.parsing import render_page
from retrieval.parsing.columns import name_cells
from retrieval.parsing.layout import Piece, arrange
from tests.retrieval.parsing.helpers import TEST_LIMITS, parse

WIDTH, HEIGHT = A4
STEP = 16


def table(rows, xs, *, bold=False, right=(), top=700, size=10, rules=False) -> bytes:
    """A page with the rows; `right` are the columns whose cells end at their place."""
    buffer = io.BytesIO()
    sheet = canvas.Canvas(buffer, pagesize=A4)
    for at, row in enumerate(rows):
        sheet.setFont("Helvetica-Bold" if bold and at == 0 else "Helvetica", size)
        y = top - STEP * at
        for column, (x, cell) in enumerate(zip(xs, row, strict=True)):
            (sheet.drawRightString if column in right else sheet.drawString)(x, y, cell)
        if rules:
            sheet.line(xs[0] - 5, y - 4, xs[-1] + 80, y - 4)
    sheet.save()
    return buffer.getvalue()


def lines_of(data: bytes) -> list[str]:
    return parse(data, "table.pdf").pages[0].text.splitlines()


def plain(rows) -> list[str]:
    return [" | ".join(cell for cell in row if cell) for row in rows]


def test_numbers_that_end_at_a_line_stand_under_names_that_begin_elsewhere():
    rows = [
        ("Region", "Net revenue", "Change"),
        ("North", "1,204.50", "+3%"),
        ("South and islands", "98.10", "-12%"),
        ("Overseas", "10,733.00", "+41%"),
    ]
    assert lines_of(table(rows, (60, 300, 420), right=(1, 2), rules=True)) == [
        "Region | Net revenue | Change",
        "Region: North; Net revenue: 1,204.50; Change: +3%",
        "Region: South and islands; Net revenue: 98.10; Change: -12%",
        "Region: Overseas; Net revenue: 10,733.00; Change: +41%",
    ]


def test_a_bold_first_row_names_columns_of_words():
    rows = [("Name", "Team", "Room"), ("Chen Wei", "Sales", "East"), ("Ana Ruiz", "Legal", "West")]
    assert lines_of(table(rows, (60, 200, 340), bold=True))[1:] == [
        "Name: Chen Wei; Team: Sales; Room: East",
        "Name: Ana Ruiz; Team: Legal; Room: West",
    ]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("Adams", "Baker", "Cook"), ("Dean", "Evans", "Ford"), ("Gray", "Hill", "Irwin")], "a list in three columns"),
        ([("Total", "12", "14"), ("North", "7", "9"), ("South", "5", "5")], "no row of names at all"),
        ([("Item", "Item", "Stock"), ("Bolt", "1", "2"), ("Nut", "3", "4")], "two columns of one name"),
        ([("Street", "Main Road"), ("Town", "Springfield"), ("Country", "Nowhere")], "labels and values"),
        ([("Item", "Stock"), ("Bolt", "400")], "two rows are no table for certain"),
    ],
)
def test_a_doubtful_table_stays_as_it_stands(rows, why):
    assert lines_of(table(rows, (60, 200, 340)[: len(rows[0])])) == plain(rows), why


def test_a_cell_under_two_names_leaves_the_table_as_it_stands():
    rows = [("Item", "Price", "Stock"), ("Bolt", "0.12 for each piece of a packet of ten", ""), ("Nut", "0.05", "900")]
    assert lines_of(table(rows, (60, 200, 290))) == plain(rows)


def test_a_line_before_and_after_the_table_stays_what_it_is():
    rows = [
        ("The price list of the year follows.", "", ""),
        ("Item", "Price", "Stock"),
        ("Bolt", "0.12", "400"),
        ("Nut", "0.05", "900"),
        ("Prices are in euros and without tax.", "", ""),
    ]
    assert lines_of(table(rows, (60, 200, 340))) == [
        "The price list of the year follows.",
        "Item | Price | Stock",
        "Item: Bolt; Price: 0.12; Stock: 400",
        "Item: Nut; Price: 0.05; Stock: 900",
        "Prices are in euros and without tax.",
    ]


ROWS = [("Item", "Price", "Stock"), *((f"Part {at:02}", f"{at}.50", str(700 + at)) for at in range(1, 25))]


def boxes(data: bytes, quotes: list[str]):
    with tempfile.NamedTemporaryFile(suffix=".pdf") as stream:
        stream.write(data)
        stream.flush()
        return render_page(Path(stream.name), 1, limits=TEST_LIMITS, width=600, quotes=quotes).boxes


def test_the_rectangle_of_a_quoted_row_covers_its_cells_and_nothing_else():
    row, two, old, words, none = boxes(
        table(ROWS, (60, 200, 340)),
        [
            "Item: Part 07; Price: 7.50; Stock: 707",
            "Price: 3.50; Stock: 703\nItem: Part 04",
            "Part 07 | 7.50 | 707",  # as documents were indexed before names were known
            "Item | Price",
            "Item: Part 07; Stock: 7.50",
        ],
    )
    assert none == ()
    assert row == old
    (place,) = row
    baseline = 700 - 7 * STEP
    assert place.x0 == pytest.approx(60 / WIDTH, abs=0.01)
    assert 340 / WIDTH < place.x1 < 370 / WIDTH
    assert place.y0 < (HEIGHT - baseline) / HEIGHT < place.y1
    assert place.y1 - place.y0 < STEP / HEIGHT
    assert len(two) == 2
    assert two[0].x0 == pytest.approx(200 / WIDTH, abs=0.01)
    assert two[1].x0 == pytest.approx(60 / WIDTH, abs=0.01)
    assert len(words) == 1
    assert words[0].y0 < (HEIGHT - 700) / HEIGHT < words[0].y1


def test_every_passage_of_a_long_table_says_what_its_numbers_are(embedder):
    document = parse(table(ROWS, (60, 200, 340)), "parts.pdf")
    chunks = chunk_document(document, count_tokens=embedder.count_tokens)
    assert len(chunks) > 1
    for chunk in chunks:
        assert chunk.text == document.pages[0].text[chunk.char_start : chunk.char_end]
        assert all(line.startswith("Item: ") for line in chunk.text.splitlines()[chunk.ordinal == 0 :])


def test_names_never_change_which_cells_are_read_or_in_which_order():
    """Cells on a grid with gaps: whatever is named, without its names a row reads as before."""
    told = 0
    for seed in range(40):
        pieces = [Piece(name, 50.0 + 120 * at, 90, 90.0 + 120 * at, 100, 100, 10) for at, name in enumerate("ABCD")]
        for line in range(1, 6):
            for at in range(4):
                if (seed * 7 + line * 3 + at * 5) % 4:
                    x = 50.0 + 120 * at + (seed * 11 + line + at) % 20
                    pieces.append(
                        Piece(str(line * 10 + at), x, 90 + 15 * line, x + 15, 100 + 15 * line, 100 + 15 * line, 10)
                    )
        units, named = arrange(pieces), arrange(pieces)
        name_cells(named)
        told += sum(bool(unit.names) for unit in named)
        for before, after in zip(units, named, strict=True):
            assert [line.cells for line in before.lines] == [line.cells for line in after.lines]
            for cell, follower in pairwise(after.lines[0].cells):
                assert after.text.index(cell) < after.text.index(follower)
    assert told > 100
