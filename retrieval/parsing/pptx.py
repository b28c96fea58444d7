"""PPTX to pages: one per slide, titled, with tables, charts, diagrams and the speaker's notes.

Slides that are hidden keep their number, but their text is reported, not indexed; so are hidden shapes and comments.

Not python-pptx: diagrams, hidden slides and chart caches would be read from the XML beneath it anyway.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from retrieval.errors import LimitExceeded
from retrieval.parsing import ooxml
from retrieval.parsing.archives import Archive, attribute, local
from retrieval.parsing.attachments import read_pictures
from retrieval.parsing.base import Context, Source
from retrieval.parsing.docx_styles import child
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.shapes import paragraphs_of, shapes_of, text_of
from retrieval.parsing.tables import row_lines
from retrieval.schema import ParsedDocument


def parse(source: Source, context: Context) -> ParsedDocument:
    """The slides in presentation order."""
    archive = Archive(source.data, context.limits)
    part = ooxml.main_part(archive, "ppt/presentation.xml")
    relations = ooxml.relations(archive, part)
    root = archive.xml(part)
    order = [attribute(e, "id") for e in root.iter() if local(e) == "sldId"]
    slides = [_relation_id(e) for e in root.iter() if local(e) == "sldId"]
    if len(order) > context.limits.pages:
        raise LimitExceeded(f"{len(order)} slides", what="pages")
    writer = PageWriter(context.limits)
    ooxml.warn_of_macros(archive, writer)
    first_title: str | None = None
    for number, identifier in enumerate(slides, 1):
        relation = relations.get(identifier or "")
        title = None
        if relation is not None and relation.target in archive:
            title = _slide(archive, relation.target, writer)
        else:
            writer.start()
            writer.warn(f"Slide {number} is missing from the file.")
        first_title = first_title or title
        context.progress(number, len(slides))
    read_pictures(archive, "ppt/media/", writer, context)
    return writer.document(source.media_type, ooxml.title(archive) or first_title)


def _relation_id(element: Element) -> str | None:
    return next((v for k, v in element.attrib.items() if k.endswith("}id")), None)


def _slide(archive: Archive, part: str, writer: PageWriter) -> str | None:
    root = archive.xml(part)
    relations = ooxml.relations(archive, part)
    drawn = [pair for tree in root.iter() if local(tree) == "spTree" for pair in shapes_of(tree)]
    shapes = [shape for shape, unseen in drawn if not unseen]
    titles = [shape for shape in shapes if _placeholder(shape) in ("title", "ctrTitle")]
    title = " ".join(text for shape in titles for _level, text in paragraphs_of(shape)).strip() or None
    writer.start(title)
    ooxml.report_comments(archive, relations, writer)
    if root.get("show") == "0":
        writer.hide(" ".join(text for shape in shapes for _level, text in paragraphs_of(shape)), "hidden slide")
        return None
    for shape in (shape for shape, unseen in drawn if unseen):
        writer.hide(" ".join(text_of(e) for e in shape.iter() if local(e) == "p"), "hidden shape")
    if title:
        writer.add("heading", title, 1)
    for shape in shapes:
        if shape in titles or _placeholder(shape) in ("sldNum", "dt"):
            continue
        _write_shape(archive, shape, relations, writer)
    for relation in relations.values():
        if relation.kind == "notesSlide":
            notes = archive.optional_xml(relation.target)
            for shape in notes.iter() if notes is not None else ():
                if local(shape) == "sp" and _placeholder(shape) == "body":
                    for _level, text in paragraphs_of(shape):
                        writer.add("paragraph", text)
    return title


def _placeholder(shape: Element) -> str | None:
    found = next((e for e in shape.iter() if local(e) == "ph"), None)
    return None if found is None else found.get("type", "body" if found.get("idx") else "obj")


def _write_shape(archive: Archive, shape: Element, relations: dict[str, ooxml.Relation], writer: PageWriter) -> None:
    paragraphs = list(paragraphs_of(shape))
    listed = _placeholder(shape) in ("body", "obj") and len(paragraphs) > 1
    for level, text in paragraphs:
        writer.add("list_item" if listed else "paragraph", text, min(level, 6))
    if local(shape) != "graphicFrame":
        return
    for element in shape.iter():
        name = local(element)
        if name == "tbl":
            rows = [
                [" ".join(text_of(p) for p in cell.iter() if local(p) == "p") for cell in row if local(cell) == "tc"]
                for row in element
                if local(row) == "tr"
            ]
            properties = child(element, "tblPr")
            first = properties is not None and properties.get("firstRow") == "1"
            for line in row_lines(rows, header=True if first else None):
                writer.add("table_row", line)
        elif name == "chart":
            _linked(archive, relations.get(_relation_id(element) or ""), writer, _chart)
        elif name == "relIds":
            target = next((v for k, v in element.attrib.items() if k.endswith("}dm")), "")
            _linked(archive, relations.get(target), writer, _diagram)


def _linked(archive: Archive, relation: ooxml.Relation | None, writer: PageWriter, write: object) -> None:
    if relation is None or relation.external or relation.target not in archive:
        return
    assert callable(write)
    write(archive.xml(relation.target), writer)


def _chart(root: Element, writer: PageWriter) -> None:
    """A chart's title and, for each series, its values by category."""
    for element in root.iter():
        if local(element) == "title":
            writer.add("caption", text_of(element))
            break
    for series in (e for e in root.iter() if local(e) == "ser"):
        name = " ".join(_values(child(series, "tx")))
        categories = _values(child(series, "cat")) or _values(child(series, "xVal"))
        values = _values(child(series, "val")) or _values(child(series, "yVal"))
        pairs = [f"{c}: {v}" for c, v in zip(categories, values, strict=False)] or values
        if pairs:
            writer.add("table_row", (f"{name} - " if name else "") + "; ".join(pairs[:200]))


def _values(element: Element | None) -> list[str]:
    return [e.text for e in element.iter() if local(e) == "v" and e.text] if element is not None else []


def _diagram(root: Element, writer: PageWriter) -> None:
    for point in (e for e in root.iter() if local(e) == "pt"):
        writer.add("list_item", text_of(point))
