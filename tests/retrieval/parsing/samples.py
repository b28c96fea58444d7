"""One small file of every format, built here: what the robustness tests damage and the format table covers."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage
from functools import lru_cache

import docx
import openpyxl
import pptx
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen import canvas

from tests.retrieval.parsing import old_slides
from tests.retrieval.parsing.compound import Tree, compound, wide

SENTENCE = "The travel budget for 2026 is 40,000 euros."


def pdf() -> bytes:
    buffer = io.BytesIO()
    sheet = canvas.Canvas(buffer)
    for number in range(3):
        sheet.drawString(60, 700, SENTENCE)
        sheet.drawString(60, 680, f"This is page {number + 1}.")
        sheet.rect(50, 600, 100, 20, fill=1)
        sheet.showPage()
    sheet.save()
    return buffer.getvalue()


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Budget", 1)
    document.add_paragraph(SENTENCE)
    table = document.add_table(rows=2, cols=3)
    for index, text in enumerate(["Item", "Sum", "Year", "Travel", "40000", "2026"]):
        table.cell(index // 3, index % 3).text = text
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def slides() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Budget"
    slide.placeholders[1].text = SENTENCE
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["Item", "Sum", "Year"])
    book.active.append([SENTENCE, 40000, 2026])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def packed(members: dict[str, str | bytes], mimetype: str | None = None) -> bytes:
    """A zip container; `mimetype` goes first and unpacked, as ODF and EPUB ask."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr(zipfile.ZipInfo("mimetype"), mimetype)
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)


def opendocument(kind: str, body: str) -> bytes:
    content = (
        f'<?xml version="1.0"?><office:document-content {_ODF}><office:body><office:{kind}>{body}'
        f"</office:{kind}></office:body></office:document-content>"
    )
    name = {"text": "text", "spreadsheet": "spreadsheet", "presentation": "presentation"}[kind]
    return packed({"content.xml": content}, f"application/vnd.oasis.opendocument.{name}")


def odt() -> bytes:
    return opendocument("text", f'<text:h text:outline-level="1">Budget</text:h><text:p>{SENTENCE}</text:p>')


def ods() -> bytes:
    cells = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in (("Item", "Sum", "Year"), (SENTENCE, "40000", "2026"))
    )
    return opendocument("spreadsheet", f'<table:table table:name="Costs">{cells}</table:table>')


def odp() -> bytes:
    return opendocument(
        "presentation",
        '<draw:page draw:name="one"><draw:frame presentation:class="title"><draw:text-box><text:p>Budget</text:p>'
        f"</draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>{SENTENCE}</text:p></draw:text-box>"
        "</draw:frame></draw:page>",
    )


def epub() -> bytes:
    return packed(
        {
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="o/p.opf"/></rootfiles></container>',
            "o/p.opf": '<package><metadata><title>Book</title></metadata><manifest><item id="a" href="a.xhtml" '
            'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>',
            "o/a.xhtml": f"<html><body><h1>Budget</h1><p>{SENTENCE}</p></body></html>",
        },
        "application/epub+zip",
    )


def rtf() -> bytes:
    return (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fnil Arial;}}{\outlinelevel0 Budget\par}\pard "
        + SENTENCE.encode()
        + rb" Caf\'e9 \u26085?{\v hidden}\par\trowd\intbl A\cell B\cell C\cell\row\pard}"
    )


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ada@example.com", "bob@example.com", "Budget"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0000"
    message.set_content(SENTENCE)
    message.add_attachment(workbook(), maintype="application", subtype="octet-stream", filename="costs.xlsx")
    message.add_attachment(b"Notes of the meeting.", maintype="text", subtype="plain", filename="notes.txt")
    return message.as_bytes()


@lru_cache(maxsize=1)
def picture() -> bytes:
    image = Image.new("RGB", (900, 160), "white")
    ImageDraw.Draw(image).text((30, 50), SENTENCE, fill="black", font=ImageFont.load_default(36))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def old_word(
    text: str = f"Budget\r{SENTENCE}\rItem\x07Sum\x07\x07",
    *,
    looks: Sequence[tuple[int, bytes]] = (),
    change: int = 0,
    changes: bytes = b"",
) -> bytes:
    """A Word 97 file of one 16-bit piece: text, the looks of its stretches (units, Sprms), and of the whole piece
    its Prm and the list of Sprms that it may name."""
    body = text.encode("utf-16-le")
    units = len(body) // 2
    fib = bytearray(2048)
    struct.pack_into("<HH", fib, 0, 0xA5EC, 0x00C1)
    struct.pack_into("<H", fib, 10, 0x0200)
    struct.pack_into("<H", fib, 32, 14)
    struct.pack_into("<H", fib, 62, 22)
    struct.pack_into("<I", fib, 64 + 12, units)
    struct.pack_into("<H", fib, 152, 93)
    clx = (b"\x01" + struct.pack("<H", len(changes)) + changes) if changes else b""
    clx += b"\x02" + struct.pack("<I", 16) + struct.pack("<II", 0, units) + struct.pack("<HIH", 0, 2048, change)
    struct.pack_into("<II", fib, 154 + 33 * 8, 0, len(clx))
    table = clx
    if looks:  # one page of character properties at byte 1536, and the table that names it
        page, at, where = memoryview(fib)[1536:2048], 511, 2048
        for index, (length, sprms) in enumerate(looks):
            struct.pack_into("<I", page, index * 4, where)
            where += length * 2
            if sprms:
                at = (at - len(sprms) - 1) // 2 * 2
                page[at : at + 1 + len(sprms)] = bytes([len(sprms)]) + sprms
                page[(len(looks) + 1) * 4 + index] = at // 2
        struct.pack_into("<I", page, len(looks) * 4, where)
        page[511] = len(looks)
        struct.pack_into("<II", fib, 154 + 12 * 8, len(table), 12)
        table += struct.pack("<III", 2048, where, 3)
    return compound({"WordDocument": bytes(fib) + body, "1Table": table})


def old_powerpoint() -> bytes:
    """A presentation of one slide: an outline, and one text in its drawing."""
    outline = old_slides.said(0, "Budget") + old_slides.said(1, SENTENCE)
    document = old_slides.document([old_slides.Item(2, 256, outline)])
    slide = old_slides.slide(old_slides.shape(old_slides.said(4, "Drawn text")))
    return old_slides.OldSlides().save({1: document, 2: slide}).file()


def properties(*values: tuple[int, int, int], embedded: bool = False) -> bytes:
    """The fixed-length properties of a message ([MS-OXMSG] 2.4.1.1): (number, type, value)."""
    rows = b"".join(struct.pack("<HHIQ", kind, number, 6, value) for number, kind, value in values)
    return bytes(24 if embedded else 32) + rows


def outlook() -> bytes:
    """A message with a text file, a sheet and another message attached."""
    sent = (0x0039, 0x0040, 133_800_000_000_000_000)
    inner: Tree = {
        "__properties_version1.0": properties(embedded=True),
        "__substg1.0_0037001F": wide("Earlier"),
        "__substg1.0_1000001F": wide("What may we spend?"),
    }
    return compound(
        {
            "__properties_version1.0": properties(sent),
            "__substg1.0_0037001F": wide("Budget") + b"\0\0",
            "__substg1.0_0C1A001F": wide("Ada") + b"\0\0",
            "__substg1.0_1000001F": wide(SENTENCE) + b"\0\0",
            "__attach_version1.0_#00000000": {
                "__substg1.0_3707001F": wide("notes.txt"),
                "__substg1.0_37010102": b"Notes of the meeting.".ljust(4096),
            },
            "__attach_version1.0_#00000001": {
                "__substg1.0_3704001F": wide("COSTS.XLS"),
                "__substg1.0_37010102": old_excel(),
            },
            "__attach_version1.0_#00000002": {"__substg1.0_3701000D": inner},
        }
    )


def old_excel() -> bytes:
    """A BIFF8 workbook of one sheet with two labels and a number."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    def label(row: int, column: int, text: str) -> bytes:
        return record(0x0204, struct.pack("<HHHHB", row, column, 0, len(text), 0) + text.encode("latin-1"))

    bof = struct.pack("<HHHHII", 0x0600, 5, 0x0DBB, 0x07CC, 0, 6)
    font = record(0x31, struct.pack("<HHHHHBBBBB", 200, 0, 0x7FFF, 400, 0, 0, 0, 0, 0, 5) + b"\0Arial")
    style = record(0xE0, struct.pack("<HHHBBBBIIH", 0, 0, 0xFFF5, 0x20, 0, 0, 0, 0, 0, 0x20C0))
    name = b"Costs"
    head = record(0x0809, bof) + record(0x42, struct.pack("<H", 1252)) + font + style
    sheet_record_size = 4 + 8 + len(name)
    start = len(head) + sheet_record_size + 4
    bound = record(0x85, struct.pack("<IBBBB", start, 0, 0, len(name), 0) + name)
    sheet = (
        record(0x0809, struct.pack("<HHHHII", 0x0600, 0x10, 0x0DBB, 0x07CC, 0, 6))
        + label(0, 0, "Note")
        + label(0, 1, "Unit")
        + label(0, 2, "Sum")
        + label(1, 0, SENTENCE)
        + label(1, 1, "euro")
        + record(0x0203, struct.pack("<HHHd", 1, 2, 0, 40000.0))
        + record(0x0A, b"")
    )
    return compound({"Workbook": head + bound + record(0x0A, b"") + sheet})


SAMPLES = {
    "budget.pdf": pdf,
    "budget.docx": word,
    "budget.pptx": slides,
    "budget.xlsx": workbook,
    "budget.doc": old_word,
    "budget.ppt": old_powerpoint,
    "budget.xls": old_excel,
    "budget.odt": odt,
    "budget.ods": ods,
    "budget.odp": odp,
    "budget.epub": epub,
    "budget.rtf": rtf,
    "budget.html": lambda: f"<html><body><h1>Budget</h1><p>{SENTENCE}</p></body></html>".encode(),
    "budget.eml": mail,
    "budget.msg": outlook,
    "budget.md": lambda: f"# Budget\n\n{SENTENCE}\n".encode(),
    "budget.csv": lambda: f'Item,Sum\n"{SENTENCE}",40000\n'.encode(),
    "budget.txt": lambda: f"Budget\n\n{SENTENCE}\n".encode(),
    "budget.png": picture,
}
