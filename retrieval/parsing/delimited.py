"""CSV and TSV in any encoding and dialect: each record a line that repeats the column names."""

from __future__ import annotations

import csv
import io

from retrieval.errors import CorruptDocument
from retrieval.parsing import clean, registry
from retrieval.parsing.base import Context, Source
from retrieval.parsing.decoding import decode
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.tables import is_number, named_line, plain_line
from retrieval.schema import ParsedDocument

_SAMPLE_LINES = 50
_DELIMITERS = ",;\t|"


def parse(source: Source, context: Context) -> ParsedDocument:
    """The records in order; the first row names the columns unless it holds numbers."""
    decoded = decode(source.data)
    writer = PageWriter(context.limits, flow=True)
    if decoded.damaged:
        writer.warn("Some characters of the file could not be read.")
    text = decoded.text.lstrip("\ufeff")
    delimiter = "\t" if source.media_type == registry.TSV else _delimiter(text)
    csv.field_size_limit(max(1 << 17, context.limits.page_characters * 64))
    names: list[str] | None = None
    first = True
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            cells = [clean.one_line(cell) for cell in record]
            if not any(cells):
                continue
            if first and len(cells) > 1 and sum(map(bool, cells)) == 1:
                writer.add("paragraph", plain_line(cells))  # a title above the table
                continue
            if first:
                first = False
                if len(cells) > 1 and all(cells[:2]) and not any(is_number(cell) for cell in cells if cell):
                    names = cells
                    continue
            writer.add("table_row", named_line(names, cells) if names else plain_line(cells))
    except csv.Error as exc:
        raise CorruptDocument(f"not a readable table: {exc}") from exc
    if names and writer.empty:
        writer.add("table_row", plain_line(names))
    return writer.document(source.media_type, None)


def _delimiter(text: str) -> str:
    """The character that divides the first lines into the same number of fields, more than one."""
    sample = "\n".join(text.splitlines()[:_SAMPLE_LINES])
    if sample.lower().startswith("sep=") and len(sample) > 4:
        return sample[4]
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not widths:
            continue
        common = max(set(widths), key=lambda width: (widths.count(width), width))
        score = (common > 1) * widths.count(common) / len(widths) * (1 + min(common, 20) / 100)
        if score > best_score:
            best, best_score = delimiter, score
    return best
