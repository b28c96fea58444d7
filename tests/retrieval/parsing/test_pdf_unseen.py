"""PDF: what a switched-off layer, a clip, a hidden field or an earlier revision says is not read."""

from __future__ import annotations

from tests.retrieval.parsing.helpers import parse

OPEN = "Open words on the page for everyone"
_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def words(text: str, y: int) -> bytes:
    return b"BT /F 14 Tf 50 %d Td (%s) Tj ET\n" % (y, text.encode())


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(content), content)


def pdf(
    content: bytes,
    *,
    catalog: bytes = b"",
    page: bytes = b"",
    resources: bytes = b"",
    more: dict[int, bytes] | None = None,
) -> bytes:
    """A PDF of one page; object 4 is its content, 5 the font, those of `more` begin at 6."""
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>%s>>%s>>" % (resources, page),
        4: stream(content),
        5: _FONT,
        **(more or {}),
    }
    out, places = b"%PDF-1.7\n", {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % places[number] for number in sorted(objects))
    size = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        size, rows, size, len(out),
    )  # fmt: skip


def seen(data: bytes) -> tuple[str, list[str]]:
    found = parse(data, "a.pdf")
    return found.pages[0].text, [entry.text for entry in found.hidden_text]


def layers(setting: bytes) -> bytes:
    return b"/OCProperties<</OCGs[6 0 R]/D<</%s[6 0 R]/Order[6 0 R]>>>>" % setting


LAYER = {6: b"<</Type/OCG/Name(Notes)>>"}


def test_words_of_a_layer_count_only_while_it_is_on():
    content = words(OPEN, 700) + b"/OC /L BDC\n" + words("layer words", 650) + b"EMC\n"
    how = {"resources": b"/Properties<</L 6 0 R>>", "more": LAYER}
    assert seen(pdf(content, catalog=layers(b"OFF"), **how)) == (OPEN, ["layer words"])
    assert "layer words" in seen(pdf(content, catalog=layers(b"ON"), **how))[0]


def test_words_of_a_form_in_a_layer_count_only_while_it_is_on():
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/OC 6 0 R/Resources<</Font<</F 5 0 R>>>>"
    how = {"resources": b"/XObject<</X 7 0 R>>", "more": {**LAYER, 7: stream(words("layer words", 650), entries)}}
    content = words(OPEN, 700) + b"/X Do\n"
    assert seen(pdf(content, catalog=layers(b"OFF"), **how)) == (OPEN, ["layer words"])
    assert "layer words" in seen(pdf(content, catalog=layers(b"ON"), **how))[0]


def test_words_that_a_clip_cuts_away_are_reported():
    content = words(OPEN, 700) + b"q 0 0 10 10 re W n\n" + words("clipped words", 200) + b"Q\n"
    assert seen(pdf(content)) == (OPEN, ["clipped words"])
    kept = words(OPEN, 700) + b"q 0 100 600 300 re W n\n" + words("words in a frame", 200) + b"Q\n"
    assert "words in a frame" in seen(pdf(kept))[0]


def test_what_stands_outside_the_crop_box_is_reported():
    content = words(OPEN, 700) + words("cropped words", 200)
    assert seen(pdf(content, page=b"/CropBox[0 400 600 800]")) == (OPEN, ["cropped words"])


def field(name: str, value: str, y: int, *, flags: int = 4, kind: int = 0) -> bytes:
    return (
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(%s)/V(%s)/F %d/Ff %d/Rect[50 %d 300 %d]/P 3 0 R/DA(/F 12 Tf)>>"
        % (name.encode(), value.encode(), flags, kind, y, y + 20)
    )  # fmt: skip


def test_hidden_fields_are_reported_and_passwords_neither_read_nor_reported():
    fields = {
        6: field("Name", "Ada", 600),
        7: field("Draft", "hidden value", 550, flags=2),
        8: field("Note", "value off the screen", 500, flags=32),
        9: field("PIN", "opensesame", 450, kind=1 << 13),
    }
    names = b" ".join(b"%d 0 R" % number for number in fields)
    form = b"/AcroForm<</Fields[%s]/DR<</Font<</F 5 0 R>>>>>>" % names
    data = pdf(words(OPEN, 700), catalog=form, page=b"/Annots[%s]" % names, more=fields)
    assert seen(data) == (f"{OPEN}\nName: Ada", ["hidden value", "value off the screen"])


def test_an_earlier_revision_in_the_same_file_is_not_read():
    before = pdf(words("words of the first revision", 700))
    last = int(before.rsplit(b"startxref\n", 1)[1].split()[0])
    new = b"4 0 obj\n%s\nendobj\n" % stream(words(OPEN, 700))
    table = b"xref\n4 1\n%010d 00000 n \ntrailer <</Size 6/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(before), last, len(before) + len(new),
    )  # fmt: skip
    assert seen(before + new + table) == (OPEN, [])
