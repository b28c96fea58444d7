"""PDF to pages: visible text in reading order, OCR where a page is a picture, attachments as further pages.

Knows what belongs together: `pdf_glyphs` reads characters, `pdf_visibility` sorts out hidden ones, `layout`
orders them, `ocr` reads pictures. Lines that stand at the head or foot of most pages are kept once and then
left out, so that they do not break quotations.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter

import pypdfium2 as pdfium
import pypdfium2.raw as c

from retrieval.errors import CorruptDocument, EncryptedDocument, LimitExceeded, ParseError
from retrieval.parsing import clean, layout
from retrieval.parsing.attachments import append_attachment
from retrieval.parsing.base import Context, Source
from retrieval.parsing.columns import name_cells
from retrieval.parsing.layout import Piece
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.pdf_compose import PageDraft, drop_repeated, write_pages
from retrieval.parsing.pdf_glyphs import Glyph, Run, View, read_glyphs
from retrieval.parsing.pdf_visibility import Scenery, hidden_runs, scenery
from retrieval.schema import ParsedDocument

_BAD_TITLE = re.compile(
    r"^(?:untitled(?: document)?|\(?(?:anonymous|unspecified|unknown)\)?|microsoft word - .*"
    r"|.*\.(?:docx?|pdf|tex|indd|odt|dvi|qxd))$",
    re.IGNORECASE,
)
_LAYERED_FORM = re.compile(rb"/OC[\s/<]*\d+\s+\d+\s+R")  # in a stream's dictionary, which is never packed
_UNSEEN, _PASSWORD = 0x02 | 0x20, 1 << 13  # flags of an annotation (hidden, no view) and of a field
_FEW_CHARACTERS, _SOME_CHARACTERS = 30, 400
_OCR_LONG_SIDE = 2000.0
_OCR_SCALE = 300 / 72


def parse(source: Source, context: Context) -> ParsedDocument:
    """Every page of the PDF, in order, empty ones too; then its attachments."""
    document = open_pdf(source.data)
    writer = PageWriter(context.limits)
    try:
        total = len(document)
        if total > context.limits.pages:
            raise LimitExceeded(f"the PDF has {total} pages", what="pages")
        document.init_forms()
        reader = _Reader(document, writer, context, layers=_LAYERED_FORM.search(source.data) is not None)
        pages: list[PageDraft] = []
        for index in range(total):
            pages.append(reader.page(index))
            context.progress(index + 1, total)
        drop_repeated(pages)
        body = write_pages(writer, pages)
        title = _title(document, pages, body)
        _attachments(document, writer, context)
    finally:
        document.close()
    return writer.document(source.media_type, title)


def open_pdf(data: bytes) -> pdfium.PdfDocument:
    """The opened document; raises `EncryptedDocument` or `CorruptDocument`."""
    try:
        document = pdfium.PdfDocument(data)
        if len(document) == 0:
            document.close()
            raise CorruptDocument("the PDF has no pages")
    except pdfium.PdfiumError as exc:
        if getattr(exc, "err_code", None) in (c.FPDF_ERR_PASSWORD, c.FPDF_ERR_SECURITY) or "assword" in str(exc):
            raise EncryptedDocument("the PDF asks for a password") from exc
        raise CorruptDocument(f"PDFium cannot open the file: {exc}") from exc
    return document


class _Reader:
    """Reads one page after the other; counts the pages that went through OCR."""

    def __init__(self, document: pdfium.PdfDocument, writer: PageWriter, context: Context, *, layers: bool) -> None:
        self._document = document
        self._layers = layers
        self._writer = writer
        self._context = context
        self._ocr_pages = 0

    def page(self, index: int) -> PageDraft:
        try:
            page = self._document[index]
            view = View(page)
            textpage = page.get_textpage()
        except pdfium.PdfiumError:
            self._writer.warn(f"Page {index + 1} is damaged and was left empty.")
            return PageDraft([], 1.0, None)
        try:
            return self._read(page, textpage, view, index)
        finally:
            textpage.close()
            page.close()

    def _read(self, page: pdfium.PdfPage, textpage: pdfium.PdfTextPage, view: View, index: int) -> PageDraft:
        glyphs = read_glyphs(page, textpage, view)
        runs = list({id(g.run): g.run for g in glyphs if g.run.order >= 0}.values())
        scene = scenery(page, view)
        hidden = hidden_runs(page, view, runs, scene, layers=self._layers) if runs else {}
        self._report(index, runs, hidden)
        kept = [glyph for glyph in glyphs if glyph.run.order not in hidden]
        pieces, slanted = to_pieces(kept, view)
        label = self._label(index)
        result = PageDraft([], view.height, label)
        if self._wants_ocr(pieces, scene, view):
            if self._ocr_pages >= self._context.limits.ocr_pages:
                self._writer.warn("Some scanned pages were left out: there are too many of them.")
            else:
                self._ocr_pages += 1
                self._ocr(page, view, result, pieces)
        if not result.ocr:
            result.units = layout.arrange(pieces)
            name_cells(result.units)
        result.extra = [*slanted, *_form_values(self._document, page, self._writer, index + 1)]
        return result

    def _report(self, index: int, runs: list[Run], hidden: dict[int, str]) -> None:
        line: list[str] = []
        place: tuple[str, float] | None = None
        for run in runs:
            if run.order not in hidden:
                continue
            here = hidden[run.order], round(run.glyphs[0].base)
            if here != place and place is not None:
                self._writer.hide_on(index + 1, "".join(line), place[0])
                line.clear()
            place = here
            line.append("".join(glyph.char for glyph in run.glyphs))
        if place is not None:
            self._writer.hide_on(index + 1, "".join(line), place[0])

    def _label(self, index: int) -> str | None:
        label = self._document.get_page_label(index)
        return clean.one_line(label)[:40] or None if label and label != str(index + 1) else None

    def _wants_ocr(self, pieces: list[Piece], scene: Scenery, view: View) -> bool:
        text = "".join(piece.text for piece in pieces)
        letters = sum(not char.isspace() for char in text)
        broken = sum(char == "\ufffd" or "\ue000" <= char <= "\uf8ff" or char < " " for char in text)
        if letters and broken > 0.3 * letters:
            return True
        area = max(1.0, view.width * view.height)
        bare = 0.0
        for box in scene.pictures:
            size = max(0.0, min(box[2], view.width) - max(box[0], 0.0)) * max(
                0.0, min(box[3], view.height) - max(box[1], 0.0)
            )
            # A scan that already carries its text layer has many characters inside its box.
            inside = sum(
                len(p.text) for p in pieces if box[0] <= (p.x0 + p.x1) / 2 <= box[2] and box[1] <= p.base <= box[3]
            )
            bare += size if inside < _FEW_CHARACTERS else 0.0
        if letters < _FEW_CHARACTERS:
            return bare > 0.03 * area or (letters == 0 and scene.shapes > 40)
        return letters < _SOME_CHARACTERS and bare > 0.35 * area

    def _ocr(self, page: pdfium.PdfPage, view: View, result: PageDraft, pieces: list[Piece]) -> None:
        from retrieval.parsing import ocr

        scale = min(_OCR_SCALE, _OCR_LONG_SIDE / max(view.width, view.height, 1.0))
        picture = page.render(scale=scale).to_pil().convert("RGB")
        read = ocr.read(picture)
        if not read.pieces:
            return
        found = [ocr.scaled(piece, 1 / scale) for piece in read.pieces]
        if read.turn:
            result.units = [*layout.arrange(pieces), *layout.arrange(found)]
            result.ocr, result.boxes = True, (max(view.width, 1.0), max(view.height, 1.0))
            return
        kept = [p for p in pieces if "\ufffd" not in p.text and not any("\ue000" <= x <= "\uf8ff" for x in p.text)]
        added = [piece for piece in found if not any(_covers(own, piece) for own in kept)]
        if not added:
            return
        result.units = layout.arrange([*kept, *added])
        result.ocr = True
        result.boxes = (max(view.width, 1.0), max(view.height, 1.0))


def to_pieces(glyphs: list[Glyph], view: View) -> tuple[list[Piece], list[str]]:
    """Characters joined into stretches on one baseline; second, the texts that stand aslant (watermarks)."""
    angles = Counter(glyph.run.angle for glyph in glyphs if not glyph.char.isspace() and glyph.run.order >= 0)
    main = max((angle for angle in angles if angle >= 0), key=lambda angle: angles[angle], default=0)
    pieces: list[Piece] = []
    aside: dict[int, list[str]] = {}
    current: list[Glyph] = []

    def flush() -> None:
        if current:
            piece = _piece(current)
            if piece is not None:
                pieces.append(piece)
            current.clear()

    for glyph in glyphs:
        if glyph.char in "\x02\ufffe":  # PDFium's marks for a hyphen that divides a word at a line's end
            if current:
                current[-1] = _with_char(current[-1], current[-1].char + "\u2010")
            continue
        if glyph.run.order < 0:
            if glyph.char in "\r\n":
                flush()
            elif current and glyph.char == " ":
                _space(current)
            continue
        if glyph.run.angle != main:
            flush()
            aside.setdefault(glyph.run.angle, []).append(glyph.char)
            continue
        turned = _turned(glyph, main, view)
        if current and _breaks(current[-1], turned):
            flush()
        current.append(turned)
    flush()
    return pieces, [text for chars in aside.values() if len(text := clean.one_line("".join(chars))) > 1]


def _turned(glyph: Glyph, quarter: int, view: View) -> Glyph:
    """The glyph as seen when the page is turned so that its main text is upright."""
    if quarter == 0:
        return glyph
    x0, y0, x1, y1 = glyph.x0, glyph.y0, glyph.x1, glyph.y1
    if quarter == 1:
        box = (y0, view.width - x1, y1, view.width - x0)
    elif quarter == 2:
        box = (view.width - x1, view.height - y1, view.width - x0, view.height - y0)
    else:
        box = (view.height - y1, x0, view.height - y0, x1)
    return Glyph(glyph.char, *box, box[3] - 0.2 * (box[3] - box[1]), glyph.run, glyph.index)


def _with_char(glyph: Glyph, char: str) -> Glyph:
    return Glyph(char, glyph.x0, glyph.y0, glyph.x1, glyph.y1, glyph.base, glyph.run, glyph.index)


def _space(current: list[Glyph]) -> None:
    last = current[-1]
    if not last.char.endswith(" "):
        current[-1] = _with_char(last, last.char + " ")


def _breaks(before: Glyph, glyph: Glyph) -> bool:
    """Whether a new stretch begins: another baseline, a wide gap, or a jump back."""
    size = max(before.run.size, glyph.run.size, 0.1)
    if abs(before.base - glyph.base) > 0.25 * size:
        return True
    gap = max(glyph.x0 - before.x1, before.x0 - glyph.x1)
    if gap > 0.9 * size:
        return True
    if abs(before.run.size - glyph.run.size) > 0.15 * size or before.run.bold != glyph.run.bold:
        return True
    return glyph.x1 < before.x0 - 0.3 * size and not layout.rtl(before.char + glyph.char) and glyph.char not in " "


def _piece(glyphs: list[Glyph]) -> Piece | None:
    text = "".join(glyph.char for glyph in glyphs)
    inked = [glyph for glyph in glyphs if glyph.char.strip()]
    if not inked:
        return None
    bold = sum(glyph.run.bold for glyph in inked) * 2 > len(inked)
    return Piece(
        clean.visible(text),
        min(glyph.x0 for glyph in inked),
        min(glyph.y0 for glyph in inked),
        max(glyph.x1 for glyph in inked),
        max(glyph.y1 for glyph in inked),
        statistics.median(glyph.base for glyph in inked),
        statistics.median(glyph.run.size for glyph in inked),
        bold,
        letters=tuple((glyph.index, glyph.char) for glyph in inked),
    )


def _covers(own: Piece, other: Piece) -> bool:
    """Whether a piece of the text layer stands where OCR has read another."""
    wide = min(own.x1, other.x1) - max(own.x0, other.x0)
    tall = min(own.y1, other.y1) - max(own.y0, other.y0)
    return wide > 0.3 * (other.x1 - other.x0) and tall > 0.3 * min(other.y1 - other.y0, own.y1 - own.y0)


def _title(document: pdfium.PdfDocument, pages: list[PageDraft], body: float) -> str | None:
    title = clean.one_line(document.get_metadata_value("Title") or "")
    if len(title) > 2 and not _BAD_TITLE.match(title):
        return title
    first = next((page for page in pages if page.units), None)
    if first is None:
        return None
    largest = max(first.units, key=lambda unit: unit.size)
    good = largest.size > body * 1.14 and len(largest.lines) <= 4 and 3 <= len(largest.text) <= 200
    return largest.text if good else None


def _form_values(document: pdfium.PdfDocument, page: pdfium.PdfPage, writer: PageWriter, number: int) -> list[str]:
    """What is filled into the form fields of a page, as "field: value". Fields that nobody sees are reported; what was
    typed as a password is neither read nor reported."""
    form = document.formenv
    if form is None:
        return []
    values: list[str] = []
    for index in range(min(c.FPDFPage_GetAnnotCount(page.raw), 2000)):
        annotation = c.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            if c.FPDFAnnot_GetSubtype(annotation) != c.FPDF_ANNOT_WIDGET:
                continue
            value = _wide_string(c.FPDFAnnot_GetFormFieldValue, form.raw, annotation)
            kind = c.FPDFAnnot_GetFormFieldType(form.raw, annotation)
            if c.FPDFAnnot_GetFormFieldFlags(form.raw, annotation) & _PASSWORD and kind == c.FPDF_FORMFIELD_TEXTFIELD:
                continue
            if c.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
                writer.hide_on(number, value, "hidden field")
                continue
            if value and kind in (
                c.FPDF_FORMFIELD_TEXTFIELD,
                c.FPDF_FORMFIELD_COMBOBOX,
                c.FPDF_FORMFIELD_LISTBOX,
            ):
                name = _wide_string(c.FPDFAnnot_GetFormFieldAlternateName, form.raw, annotation)
                name = name or _wide_string(c.FPDFAnnot_GetFormFieldName, form.raw, annotation)
                values.append(f"{name}: {value}" if name else value)
        finally:
            c.FPDFPage_CloseAnnot(annotation)
    return values


def _wide_string(call: object, form: object, annotation: object) -> str:
    import ctypes

    assert callable(call)
    length = call(form, annotation, None, 0)
    if not 2 < length <= 65536:
        return ""
    buffer = (ctypes.c_ushort * (length // 2))()
    call(form, annotation, buffer, length)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\x00")


def _attachments(document: pdfium.PdfDocument, writer: PageWriter, context: Context) -> None:
    count = document.count_attachments()
    for index in range(min(count, context.limits.attachments)):
        try:
            attachment = document.get_attachment(index)
            name, data = attachment.get_name(), bytes(attachment.get_data())
        except (pdfium.PdfiumError, ParseError):
            writer.warn(f"Attachment {index + 1} could not be read.")
            continue
        append_attachment(writer, data, name, context)
    if count > context.limits.attachments:
        writer.warn("Some attachments were left out: there are too many of them.")
