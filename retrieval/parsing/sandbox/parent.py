"""Runs a parser in a short-lived process and brings back pages, a picture, or a typed error.

Knows pipes and deadlines; knows no format. The child (`nursery` says where it comes from) gets the file as its standard
input, an empty environment and an empty temporary folder, leads its own process group, and is killed with all of it
when its time, its output or the caller's patience ends. What the child then takes away from itself: `isolation`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from retrieval.errors import LimitExceeded, ParseError, ParserCrashed
from retrieval.parsing.base import no_progress
from retrieval.parsing.limits import Limits
from retrieval.parsing.sandbox import wire
from retrieval.parsing.sandbox.nursery import Nursery, anonymous_file
from retrieval.schema import ParsedDocument, ParsedPage

DEFAULT_LIMITS = Limits()
_T = TypeVar("_T")
_PACKAGE = Path(__file__).resolve().parents[2]


def parse_file(
    path: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    filename: str,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> ParsedDocument:
    """The pages of the file at `path`, read in a sandboxed process.

    `filename` is the name it was uploaded with, used to break ties between kinds of plain text.
    `on_progress(done, total)` is called for each page, `total` None while unknown; an exception it raises ends the
    child and passes through (so that is how to cancel). Raises the `ParseError` tree and, for a file that cannot
    be opened, `OSError`.
    """
    request = {"task": "parse", "filename": filename}
    result = _run(path, request, limits, on_progress or no_progress)
    return _rebuild(wire.document_from_dict, result)


def render_page(
    path: Path,
    number: int,
    *,
    limits: Limits = DEFAULT_LIMITS,
    width: int,
    quotes: Sequence[str] = (),
    page: ParsedPage | None = None,
    filename: str = "",
) -> wire.RenderedPage:
    """A picture of page `number` (1-based) of a PDF or image, `width` pixels wide, and where each quote stands.

    A PDF's own characters are matched ignoring white space, hyphens and case. For a page that was read by OCR
    (`page.ocr`) pass the parsed `page`: its text and layout say where the words are. A quote that is not found has
    no rectangles. Raises the `ParseError` tree: `UnsupportedFormat` for kinds without pictures,
    `LimitExceeded("pages")` for a number that does not exist.
    """
    request = {
        "task": "render",
        "filename": filename,
        "number": number,
        "width": width,
        "quotes": list(quotes),
        "page": None if page is None else wire.page_to_dict(page),
    }
    return _rebuild(wire.rendered_from_dict, _run(path, request, limits, no_progress))


@lru_cache(maxsize=1)
def sandbox_layers() -> Mapping[str, bool]:
    """Which protections a child really has on this host, asked of one child and remembered."""
    layers: dict[str, bool] = {}
    with open(os.devnull, "rb") as nothing:
        _converse(nothing.fileno(), {"task": "probe"}, DEFAULT_LIMITS, no_progress, layers)
    return layers


def _run(
    path: Path, request: Mapping[str, Any], limits: Limits, progress: Callable[[int, int | None], None]
) -> dict[str, Any]:
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size > limits.file_bytes:
            raise LimitExceeded(f"the file is larger than {limits.file_bytes} bytes", what="file_bytes")
        return _converse(stream.fileno(), request, limits, progress, {})


def _converse(
    stdin: int,
    request: Mapping[str, Any],
    limits: Limits,
    progress: Callable[[int, int | None], None],
    layers: dict[str, bool],
) -> dict[str, Any]:
    """Start a child, relay its progress, return its result; whatever happens, nothing of it stays."""
    deadline = time.monotonic() + limits.seconds
    with tempfile.TemporaryDirectory(prefix="parse-") as folder, anonymous_file() as errors:
        message = {**request, "limits": asdict(limits), "folder": folder, "readable": _library_paths()[1]}
        child = _nursery().start(message, stdin=stdin, stderr=errors.fileno())
        try:
            for answer in _answers(child.answers, deadline, limits):
                if "result" in answer:
                    return dict(answer["result"])
                if "error" in answer:
                    raise ParseError.from_dict(answer["error"])
                if "layers" in answer:
                    layers.update({str(name): bool(value) for name, value in answer["layers"].items()})
                if "progress" in answer:
                    progress(*answer["progress"])
            status = child.wait(deadline - time.monotonic())
            raise _post_mortem(status, errors.fileno())
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ParserCrashed(f"the parser's answer made no sense: {exc}") from exc
        finally:
            child.end()


def _answers(pipe: int, deadline: float, limits: Limits) -> Any:
    """The child's JSON lines as they come; ends with its output. Raises `LimitExceeded` for time and size."""
    buffer = bytearray()
    total = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], min(left, limits.stall_seconds))[0]:
            if time.monotonic() < deadline:
                raise LimitExceeded(f"no page was read for {limits.stall_seconds:g} seconds", what="stall_seconds")
            raise LimitExceeded(f"reading took longer than {limits.seconds:g} seconds", what="seconds")
        piece = os.read(pipe, 1 << 20)
        if not piece:
            return
        total += len(piece)
        if total > limits.output_bytes:
            raise LimitExceeded("the parser wrote too much", what="output_bytes")
        searched = len(buffer)
        buffer += piece
        while (end := buffer.find(b"\n", searched)) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            searched = 0
            yield json.loads(line)


def _post_mortem(status: int | None, errors: int) -> ParseError:
    """The reason for a child that ended without an answer, from its exit status and last words."""
    if status is None:
        return ParserCrashed("the parser's process is gone, and nobody knows why")
    if status == -signal.SIGXCPU:
        return LimitExceeded("the parser used up its processor time", what="cpu_seconds")
    os.lseek(errors, 0, os.SEEK_SET)
    words = os.read(errors, 1 << 16).decode("utf-8", "replace")
    if "MemoryError" in words or "bad_alloc" in words or "annot allocate memory" in words:
        return LimitExceeded("the parser ran out of memory", what="memory_bytes")
    if status == -signal.SIGXFSZ:
        return LimitExceeded("the parser wrote too much", what="output_bytes")
    last = words.strip().splitlines()[-1][:300] if words.strip() else "no message"
    cause = signal.Signals(-status).name if status < 0 else f"status {status}"
    return ParserCrashed(f"the parser's process ended with {cause}: {last}")


@lru_cache(maxsize=1)
def _library_paths() -> tuple[list[str], list[str]]:
    """The child's `sys.path` and what it may read: interpreter, installed libraries, this package; no more."""
    installed = [entry for entry in sys.path if entry and ("site-packages" in entry or "dist-packages" in entry)]
    standard = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    dynamic = [entry for entry in sys.path if entry.endswith("lib-dynload")]
    paths = list(dict.fromkeys([*standard, *dynamic, str(_PACKAGE.parent), *installed]))
    # Shared libraries of an interpreter outside /usr (a relocatable build) lie beside its standard library.
    interpreter = [sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    readable = [*standard, *dynamic, *installed, str(_PACKAGE)]
    readable += [os.path.join(prefix, "lib") for prefix in interpreter if prefix not in ("/", "/usr")]
    return paths, list(dict.fromkeys(readable))


@lru_cache(maxsize=1)
def _nursery() -> Nursery:
    return Nursery(_library_paths()[0])


def _rebuild(build: Callable[[Mapping[str, Any]], _T], data: Mapping[str, Any]) -> _T:
    try:
        return build(data)
    except (ValueError, TypeError, KeyError) as exc:
        raise ParserCrashed(f"the parser's answer made no sense: {exc}") from exc
