"""Writes every document of the demo company in its file format. The same sources give the same bytes."""

from collections.abc import Callable
from pathlib import Path

from assistant.demo.blocks import Source
from assistant.demo.company import Manifest, manifest, sources
from assistant.demo.office import write_docx, write_pptx, write_xlsx
from assistant.demo.pdf import write_pdf
from assistant.demo.plain import write_csv, write_email, write_html, write_markdown, write_text

_WRITERS: dict[str, Callable[[Source, Path], None]] = {
    ".pdf": write_pdf,
    ".docx": write_docx,
    ".pptx": write_pptx,
    ".xlsx": write_xlsx,
    ".csv": write_csv,
    ".html": write_html,
    ".md": write_markdown,
    ".txt": write_text,
    ".eml": write_email,
}


def build(directory: Path) -> Manifest:
    """Write all documents into `directory` (made if absent), named as in the returned manifest.

    Files already there under those names are overwritten; nothing else is touched. Raises OSError on a full disk.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for filename, source in sources().items():
        path = directory / filename
        _WRITERS[path.suffix](source, path)
    return manifest()
