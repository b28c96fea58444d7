"""What no reader of a file sees (hidden, deleted, moved away, said in a comment) is reported and never indexed."""

from __future__ import annotations

import io
import zipfile

import docx
import pptx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import qn

from retrieval.errors import EmptyDocument
from retrieval.schema import ParsedDocument
from tests.retrieval.parsing.helpers import parse
from tests.retrieval.parsing.samples import old_word, opendocument, packed

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def bytes_of(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def text(document: ParsedDocument) -> str:
    return "\n".join(page.text for page in document.pages)


def reported(document: ParsedDocument) -> set[tuple[str, str]]:
    return {(entry.text, entry.reason) for entry in document.hidden_text}


def test_word_text_hidden_by_a_character_style_or_in_a_cell_is_not_indexed():
    document = docx.Document()
    style = document.styles.add_style("Unseen", WD_STYLE_TYPE.CHARACTER)
    style.font.hidden = True
    below = document.styles.add_style("Unseen too", WD_STYLE_TYPE.PARAGRAPH)
    below.font.hidden = True
    paragraph = document.add_paragraph("Open words. ")
    paragraph.add_run("styled secret", style="Unseen")
    shown = paragraph.add_run("shown after all", style="Unseen")
    shown.font.hidden = False
    table = document.add_table(rows=2, cols=2)
    for index, word in enumerate(("Item", "Sum", "Travel", "cell secret")):
        table.cell(index // 2, index % 2).text = word
    table.cell(1, 1).paragraphs[0].style = "Unseen too"
    found = parse(bytes_of(document), "a.docx")
    assert "secret" not in text(found)
    assert "Open words. shown after all" in text(found)
    assert "Travel" in text(found)
    assert {("styled secret", "hidden style"), ("cell secret", "hidden style")} <= reported(found)


def test_word_rows_deleted_or_hidden_and_text_moved_away_are_not_indexed():
    document = docx.Document()
    table = document.add_table(rows=3, cols=2)
    for index, word in enumerate(("Item", "Sum", "deleted row", "10", "hidden row", "20")):
        table.cell(index // 2, index % 2).text = word
    for row, name in ((1, "w:del"), (2, "w:hidden")):
        table.rows[row]._tr.get_or_add_trPr().append(OxmlElement(name))
    run = document.add_paragraph("Before. ").add_run("moved words")
    away = parse_xml(f'<w:moveFrom {_W} w:id="5" w:author="a" w:date="2026-01-01T00:00:00Z"/>')
    run._r.addprevious(away)
    away.append(run._r)
    found = parse(bytes_of(document), "a.docx")
    assert "Item" in text(found)
    assert "Before." in text(found)
    assert not any(word in text(found) for word in ("deleted row", "hidden row", "moved words"))
    assert {
        ("deleted row | 10", "deleted text"),
        ("hidden row | 20", "hidden row"),
        ("moved words", "deleted text"),
    } <= reported(found)


def test_word_notes_keep_their_hidden_words_back():
    document = docx.Document()
    run = document.add_paragraph("As the note says").add_run()
    reference = OxmlElement("w:footnoteReference")
    reference.set(qn("w:id"), "2")
    run._r.append(reference)
    notes = (
        f'<w:footnotes {_W}><w:footnote w:id="2"><w:p><w:r><w:t>Seen note. </w:t></w:r>'
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen note</w:t></w:r></w:p></w:footnote></w:footnotes>"
    )
    buffer = io.BytesIO(bytes_of(document))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("word/footnotes.xml", notes)
    found = parse(buffer.getvalue(), "a.docx")
    assert "Seen note." in text(found)
    assert "unseen" not in text(found)
    assert ("unseen note", "hidden text") in reported(found)


def test_shapes_that_a_slide_hides_are_reported():
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Prices"
    for words, hidden in (("Open box", False), ("Secret box", True)):
        box = slide.shapes.add_textbox(0, 0, 999999, 999999)
        box.text_frame.text = words
        if hidden:
            box._element.nvSpPr.cNvPr.set("hidden", "1")
    found = parse(bytes_of(deck), "a.pptx")
    assert "Open box" in text(found)
    assert "Secret" not in text(found)
    assert reported(found) == {("Secret box", "hidden shape")}


def test_comments_in_cells_and_hidden_columns_of_opendocument_sheets_are_not_indexed():
    def cell(words: str, more: str = "") -> str:
        return f"<table:table-cell>{more}<text:p>{words}</text:p></table:table-cell>"

    rows = "".join(f"<table:table-row>{row}</table:table-row>" for row in (
        cell("Item") + cell("Wage") + cell("Sum"),
        cell("Travel", "<office:annotation><text:p>who allowed this</text:p></office:annotation>")
        + cell("9,999") + cell("40"),
    ))  # fmt: skip
    columns = '<table:table-column/><table:table-column table:visibility="collapse"/><table:table-column/>'
    found = parse(opendocument("spreadsheet", f'<table:table table:name="S">{columns}{rows}</table:table>'), "a.ods")
    assert "Travel" in text(found)
    assert "40" in text(found)
    assert "allowed" not in text(found)
    assert "9,999" not in text(found)
    assert "Wage" not in text(found)
    assert {entry.reason for entry in found.hidden_text} == {"comment", "hidden rows or columns of sheet S"}


_ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{rest}:1.0"'
    for name, rest in {
        "office": "office", "text": "text", "table": "table", "style": "style", "draw": "drawing",
        "presentation": "presentation",
    }.items()
)  # fmt: skip


def styled(kind: str, styles: str, body: str) -> bytes:
    """An OpenDocument file with automatic styles."""
    content = (
        f"<office:document-content {_ODF}><office:automatic-styles>{styles}</office:automatic-styles><office:body>"
        f"<office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    return packed({"content.xml": content}, f"application/vnd.oasis.opendocument.{kind}")


def test_hidden_slides_of_opendocument_keep_their_number_and_are_reported():
    style = (
        '<style:style style:name="dp1" style:family="drawing-page">'
        '<style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )

    def page(words: str, style: str = "") -> str:
        box = f"<draw:frame><draw:text-box><text:p>{words}</text:p></draw:text-box></draw:frame>"
        return f'<draw:page draw:name="p" {style}>{box}</draw:page>'

    body = page("Secret plan", 'draw:style-name="dp1"') + page("Open plan")
    found = parse(styled("presentation", style, body), "a.odp")
    assert [page.text for page in found.pages] == ["", "Open plan"]
    assert [(entry.page, *(entry.text, entry.reason)) for entry in found.hidden_text] == [
        (1, "Secret plan", "hidden slide")
    ]


def test_hidden_sections_cells_and_words_of_opendocument_text_are_reported():
    style = (
        '<style:style style:name="T1" style:family="text"><style:text-properties text:display="none"/></style:style>'
        '<style:style style:name="P1" style:family="paragraph"><style:text-properties text:display="none"/>'
        "</style:style>"
    )
    body = (
        '<text:p>Open words <text:span text:style-name="T1">span secret</text:span>'
        '<text:hidden-text text:is-hidden="true" text:string-value="field secret">field secret</text:hidden-text>.'
        '</text:p><text:section text:display="none"><text:p>section secret</text:p></text:section>'
        "<table:table><table:table-row><table:table-cell><text:p>Item</text:p></table:table-cell><table:table-cell>"
        '<text:p text:style-name="P1">cell secret</text:p></table:table-cell></table:table-row></table:table>'
    )
    found = parse(styled("text", style, body), "a.odt")
    assert "Open words ." in text(found)
    assert "Item" in text(found)
    assert "secret" not in text(found)
    assert {entry.text for entry in found.hidden_text} == {
        "span secret", "field secret", "section secret", "cell secret",
    }  # fmt: skip


def test_cells_and_groups_of_rows_that_a_page_hides_are_reported():
    page = (
        "<table><tr><th>Item</th><th style='display:none'>secret head</th><th>Sum</th></tr>"
        "<tr><td>Travel</td><td hidden>secret cell</td><td>40</td></tr>"
        "<tbody style='display: none'><tr><td>secret row</td><td>1</td><td>2</td></tr></tbody>"
        "<tr><td>Hotel</td><td hidden>secret too</td><td>50</td></tr></table>"
    )
    found = parse(f"<html><body><p>Costs</p>{page}</body></html>".encode(), "a.html")
    assert "secret" not in text(found)
    assert "Item: Travel; Sum: 40" in text(found)
    assert "Item: Hotel; Sum: 50" in text(found)
    assert reported(found) == {
        ("secret row 1 2 secret head", "hidden by its style"),
        ("secret cell secret too", "hidden element"),
    }


_DELETED, _HIDDEN, _HIDDEN_NOT = b"\x00\x08\x01", b"\x3c\x08\x01", b"\x3c\x08\x00"
_TABLE_DEFINITION = b"\x08\xd6\x03\x00ab"  # an operand that says its size in two bytes


def test_old_word_text_that_is_hidden_or_was_deleted_under_tracking_is_reported():
    parts = [
        ("The price \U0001f4b6 is ", b""),
        ("ten", _TABLE_DEFINITION + _DELETED),
        (" twelve euros.", b"\x35\x08\x01"),  # bold
        (" Do not tell.", _HIDDEN),
        (" Ask us.\rSecond", _HIDDEN + _HIDDEN_NOT),
        ("\r", _DELETED),
        (" line", b""),
    ]
    words = "".join(words for words, _look in parts)
    looks = [(len(words.encode("utf-16-le")) // 2, look) for words, look in parts]
    found = parse(old_word(words, looks=looks), "a.doc")
    assert text(found).split("\n") == ["The price \U0001f4b6 is twelve euros. Ask us.", "Second line"]
    assert reported(found) == {("ten", "deleted text"), ("Do not tell.", "hidden text")}


def test_old_word_keeps_cells_and_fields_whole_around_hidden_words():
    words = "Item\x07Sum\x07\x07Travel\x07\x13 XE secret \x1440\x15\x07\x07"
    at = words.index("\x13")
    looks = [(at, b""), (len("\x13 XE secret \x14"), _HIDDEN), (len(words), b"")]
    assert "Item: Travel; Sum: 40" in text(parse(old_word(words, looks=looks), "a.doc"))


@pytest.mark.parametrize(("change", "changes"), [(0x41 << 1 | 1 << 8, b""), (0 << 1 | 1, _DELETED)])
def test_a_piece_that_a_fast_save_marked_as_deleted_is_empty(change, changes):
    with pytest.raises(EmptyDocument, match="cannot see"):
        parse(old_word("All of this was deleted.", change=change, changes=changes), "a.doc")
