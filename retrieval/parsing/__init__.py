"""Files of every common format into pages of text, in a killable sandboxed process.

    sniff(path, filename) -> media type            parse_file(path, limits=, filename=) -> ParsedDocument
    render_page(path, number, limits=, width=, quotes=) -> RenderedPage
    supported_media_types()   can_render(media_type)   sandbox_layers()

Safe to import anywhere: parser libraries are imported in the child process only.
"""

from retrieval.parsing.limits import Limits
from retrieval.parsing.registry import can_render, supported_media_types
from retrieval.parsing.sandbox.parent import parse_file, render_page, sandbox_layers
from retrieval.parsing.sandbox.wire import Rect, RenderedPage
from retrieval.parsing.sniffing import sniff

__all__ = [
    "Limits",
    "Rect",
    "RenderedPage",
    "can_render",
    "parse_file",
    "render_page",
    "sandbox_layers",
    "sniff",
    "supported_media_types",
]
