"""Pictures (PNG, JPEG, TIFF, WebP, GIF, BMP) read by OCR: one page, or one per frame of a TIFF.

Knows Pillow; honours the EXIF orientation, refuses pictures larger than the limit before they are unpacked.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from retrieval.errors import CorruptDocument, LimitExceeded
from retrieval.parsing import layout, ocr
from retrieval.parsing.base import Context, Source
from retrieval.parsing.limits import Limits
from retrieval.parsing.pages import PageWriter
from retrieval.parsing.pdf_compose import PageDraft, write_pages
from retrieval.schema import ParsedDocument

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")


def parse(source: Source, context: Context) -> ParsedDocument:
    """The text that OCR finds in each frame."""
    drafts = []
    for number, picture in enumerate(frames(source.data, context.limits), 1):
        if number > context.limits.ocr_pages:
            raise LimitExceeded(f"more than {context.limits.ocr_pages} pictures to read", what="ocr_pages")
        read = ocr.read(picture)
        units = layout.arrange(read.pieces)
        size = (float(picture.width), float(picture.height))
        drafts.append(PageDraft(units, size[1], None, ocr=True, boxes=size))
        context.progress(number, None)
    writer = PageWriter(context.limits)
    write_pages(writer, drafts)
    return writer.document(source.media_type, None)


def frames(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """Each frame upright as its EXIF says, in RGB on white (an animation: its first frame only)."""
    Image.MAX_IMAGE_PIXELS = limits.pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            animated = image.format in ("GIF", "WEBP", "PNG")
            for frame in ImageSequence.Iterator(image):
                if frame.width * frame.height > limits.pixels:
                    raise LimitExceeded("the picture has too many pixels", what="pixels")
                yield _flat(frame)
                if animated:
                    break
        except Image.DecompressionBombError as exc:
            raise LimitExceeded("the picture has too many pixels", what="pixels") from exc
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as exc:
            raise CorruptDocument(f"the picture cannot be decoded: {exc}"[:300]) from exc


def _flat(frame: Image.Image) -> Image.Image:
    frame = ImageOps.exif_transpose(frame)
    if frame.mode in ("I;16", "I", "F"):
        low, high = frame.getextrema()
        span = (float(high) - float(low)) or 1.0  # type: ignore[arg-type]
        frame = frame.point(lambda value: (value - float(low)) * 255.0 / span).convert("L")  # type: ignore[arg-type]
    if frame.mode in ("RGBA", "LA", "PA", "P"):
        layer = frame.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return frame.convert("RGB")
