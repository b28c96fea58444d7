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
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from docx.shared import RGBColor
from openpyxl.comments import Comment
from openpyxl.styles import Font
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.util import Inches

from tests.retrieval.parsing.helpers import parse, texts
from tests.retrieval.parsing.samples import opendocument, packed


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


_DRAWING = """<xdr:wsDr xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><xdr:twoCellAnchor>
 <xdr:from><xdr:col>4</xdr:col><xdr:colOff>0</xdr:colOff><xdr:row>1</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from>
 <xdr:to><xdr:col>8</xdr:col><xdr:colOff>0</xdr:colOff><xdr:row>6</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:to>
 {shapes}<xdr:clientData/></xdr:twoCellAnchor></xdr:wsDr>"""


def _shape(name: str, *paragraphs: str, hidden: bool = False) -> str:
    body = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in paragraphs)
    mark = ' hidden="1"' if hidden else ""
    return (
        f'<xdr:sp macro="" textlink=""><xdr:nvSpPr><xdr:cNvPr id="2" name="{name}"{mark}/><xdr:cNvSpPr txBox="1"/>'
        f"</xdr:nvSpPr><xdr:spPr/><xdr:txBody><a:bodyPr/>{body}</xdr:txBody></xdr:sp>"
    )


def _with_drawing(book: openpyxl.Workbook, shapes: str) -> bytes:
    """The workbook with a drawing on its first sheet, as Excel stores one (openpyxl writes no shapes)."""
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"].decode()
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    mark = f'<drawing xmlns:r="{relation}" r:id="rId90"/></worksheet>'
    members["xl/worksheets/sheet1.xml"] = sheet.replace("</worksheet>", mark).encode()
    members["xl/drawings/drawing9.xml"] = _DRAWING.format(shapes=shapes).encode()
    members["xl/worksheets/_rels/sheet1.xml.rels"] = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId90" Type="{relation}/drawing" Target="../drawings/drawing9.xml"/></Relationships>'
    ).encode()
    return packed({name: bytes(content) for name, content in members.items()})


def test_text_boxes_of_a_sheet_are_read_after_its_rows_and_hidden_ones_reported():
    book = openpyxl.Workbook()
    book.active.title = "Plan"
    for row in (["Item", "Price", "Unit"], ["Bolt", 4, "piece"], ["Nut", 2, "piece"]):
        book.active.append(row)
    group = f"<xdr:grpSp><xdr:nvGrpSpPr/><xdr:grpSpPr/>{_shape('Inner', 'Orders close on Friday.')}</xdr:grpSp>"
    box = _shape("Box", "Prices hold until March.", "Ask Ms. Wu.")
    data = _with_drawing(book, box + group + _shape("Ghost", "Our margin is a half.", hidden=True))
    document = parse(data, "plan.xlsx")
    assert [text for kind, text in texts(document) if kind == "paragraph"] == [
        "Prices hold until March.",
        "Ask Ms. Wu.",
        "Orders close on Friday.",
    ]
    assert [(h.page, h.text, h.reason) for h in document.hidden_text] == [(1, "Our margin is a half.", "hidden shape")]


def test_text_boxes_of_a_hidden_sheet_are_hidden_with_it():
    book = openpyxl.Workbook()
    book.active.append(["secret margin", 0.4])
    book.active.sheet_state = "hidden"
    book.create_sheet("Open").append(["Hello", "world"])
    document = parse(_with_drawing(book, _shape("Box", "Do not tell.")), "plan.xlsx")
    assert "Do not tell." not in "\n".join(page.text for page in document.pages)
    assert [h.text for h in document.hidden_text] == ["secret margin | 0.4; Do not tell."]


def test_comments_and_deleted_text_are_listed_for_the_curator_and_not_indexed():
    source = docx.Document()
    paragraph = source.add_paragraph("The price is final.")
    source.add_comment(paragraph.runs, text="Is it really?", author="Wu")
    deleted = '<w:del {0} w:id="7" w:author="Wu"><w:r><w:delText>Almost nothing. </w:delText></w:r></w:del>'
    paragraph._p.append(parse_xml(deleted.format(nsdecls("w"))))
    document = parse(word(source), "offer.docx")
    assert document.pages[0].text == "The price is final."
    found = [(h.text, h.reason) for h in document.hidden_text]
    assert found == [("Almost nothing.", "deleted text"), ("Is it really?", "comment")]

    book = openpyxl.Workbook()
    book.active.append(["Bolt", 4])
    book.active["B1"].comment = Comment("Ask for a discount.", "Wu")
    buffer = io.BytesIO()
    book.save(buffer)
    document = parse(buffer.getvalue(), "prices.xlsx")
    assert "discount" not in document.pages[0].text
    assert [(h.page, h.text, h.reason) for h in document.hidden_text] == [(1, "Ask for a discount.", "comment")]


def test_comments_on_slides_are_listed_for_the_curator_and_not_indexed():
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Results"
    comments = (
        '<p:cmLst xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:cm authorId="0" idx="1">'
        '<p:pos x="10" y="10"/><p:text>Too bold a claim.</p:text></p:cm></p:cmLst>'
    )
    kind = "application/vnd.openxmlformats-officedocument.presentationml.comments+xml"
    part = Part(PackURI("/ppt/comments/comment1.xml"), kind, slide.part.package, comments.encode())
    slide.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/comments")
    buffer = io.BytesIO()
    deck.save(buffer)
    document = parse(buffer.getvalue(), "deck.pptx")
    assert document.pages[0].text == "Results"
    assert [(h.page, h.text, h.reason) for h in document.hidden_text] == [(1, "Too bold a claim.", "comment")]


def test_comments_and_deleted_text_of_opendocument_are_listed_and_not_indexed():
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>Almost nothing.</text:p></text:deletion>"
        "</text:changed-region></text:tracked-changes><text:p>The price is final."
        "<office:annotation><text:p>Is it really?</text:p></office:annotation></text:p>"
    )
    document = parse(opendocument("text", body), "offer.odt")
    assert document.pages[0].text == "The price is final."
    found = [(h.text, h.reason) for h in document.hidden_text]
    assert found == [("Almost nothing.", "deleted text"), ("Is it really?", "comment")]


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
