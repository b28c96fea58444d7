"""The parser's process: gives up its rights, reads one file from standard input, answers in JSON lines.

Forked by `zygote` with one request; knows nothing else of the product. Lines on the answer pipe (standard output):
{"layers": {...}}, {"progress": [done, total]}, then {"result": {...}} or {"error": {...}}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from retrieval.errors import CorruptDocument, LimitExceeded, ParseError
from retrieval.parsing import registry
from retrieval.parsing.base import Context, Source
from retrieval.parsing.limits import Limits
from retrieval.parsing.sandbox import isolation, wire
from retrieval.parsing.sniffing import sniff_bytes

# What damaged content makes third-party libraries raise; anything else is a fault of ours and ends as a crash.
_FILE_FAULTS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, EOFError, AssertionError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def main(request: Mapping[str, Any]) -> None:
    """Serve the request; returns when an answer was written."""
    limits = Limits(**request["limits"])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    layers = isolation.apply(
        memory=limits.memory_bytes,
        cpu=limits.cpu_seconds,
        output=limits.output_bytes,
        folder=request["folder"],
        readable=request["readable"],
    )

    def say(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n")
        answers.flush()

    say({"layers": layers})
    if request["task"] == "probe":
        say({"result": {}})
        return
    try:
        say({"result": serve(request, limits, lambda done, total: say({"progress": [done, total]}))})
    except ParseError as error:
        say({"error": error.to_dict()})
    except MemoryError:
        say({"error": LimitExceeded("the parser ran out of memory", what="memory_bytes").to_dict()})
    except _FILE_FAULTS as error:
        say({"error": CorruptDocument(f"the parser gave up: {_describe(error)}").to_dict()})


def serve(request: Mapping[str, Any], limits: Limits, progress: Callable[[int, int | None], None]) -> dict[str, Any]:
    """Read the file from standard input and do the task: `parse` or `render`."""
    with os.fdopen(0, "rb", closefd=False) as stream:
        data = stream.read(limits.file_bytes + 1)
    if len(data) > limits.file_bytes:
        raise LimitExceeded(f"the file is larger than {limits.file_bytes} bytes", what="file_bytes")
    filename = str(request["filename"])
    source = Source(data, filename, sniff_bytes(data, filename))
    if request["task"] == "parse":
        parse = registry.parser_for(source.media_type)
        return wire.document_to_dict(parse(source, Context(limits, progress)))
    page = request["page"]
    rendered = import_module("retrieval.parsing.rendering").render(
        source,
        int(request["number"]),
        width=int(request["width"]),
        quotes=[str(quote) for quote in request["quotes"]],
        page=None if page is None else wire.page_from_dict(page),
        limits=limits,
    )
    return wire.rendered_to_dict(rendered)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
