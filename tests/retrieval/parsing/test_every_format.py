"""Each format's sample keeps its sentence, is known by its content, and survives damage with a typed reason."""

from __future__ import annotations

import os
import random
import zlib
from pathlib import Path

import pytest

from retrieval.errors import ParseError
from retrieval.parsing import Limits, parse_file, sniff, supported_media_types
from retrieval.parsing.registry import FORMATS
from tests.retrieval.parsing.helpers import parse
from tests.retrieval.parsing.samples import SAMPLES, SENTENCE

ROUNDS = int(os.environ.get("PARSING_MUTATIONS", "500"))
STRICT = Limits(seconds=30, cpu_seconds=20, archive_bytes=32 << 20)


@pytest.mark.parametrize("name", SAMPLES)
def test_sentence_survives_and_is_quotable(name):
    document = parse(SAMPLES[name](), name)
    pages = [page for page in document.pages if SENTENCE in page.text]
    assert pages, [page.text for page in document.pages]
    for page in document.pages:
        spans = [(block.char_start, block.char_end) for block in page.blocks]
        assert spans == sorted(spans)
        assert "\n".join(page.text[a:b] for a, b in spans) == page.text


@pytest.mark.parametrize("name", SAMPLES)
def test_content_decides_not_the_name(name, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(SAMPLES[name]())
    honest = sniff(path, name)
    assert Path(name).suffix in supported_media_types()[honest]
    if Path(name).suffix not in (".md", ".csv", ".txt"):
        assert sniff(path, "invoice.exe") == honest
        assert sniff(path, "budget.pdf") == honest


def test_every_registered_module_parses():
    from importlib import import_module

    for entry in FORMATS.values():
        assert callable(import_module(f"retrieval.parsing.{entry.module}").parse)


def mutated(data: bytes, seed: int) -> bytes:
    """One of the ways files break: flipped bytes, a cut, a repeated or missing part, or a huge number."""
    chance = random.Random(seed)
    blob = bytearray(data)
    kind = seed % 5
    if kind == 0:
        for _ in range(chance.randint(1, 40)):
            blob[chance.randrange(len(blob))] = chance.randrange(256)
    elif kind == 1:
        del blob[chance.randrange(len(blob)) :]
    elif kind == 2:
        start = chance.randrange(len(blob))
        blob[start:start] = blob[start : start + chance.randint(1, 2000)] * chance.randint(1, 5)
    elif kind == 3:
        start = chance.randrange(len(blob))
        del blob[start : start + chance.randint(1, 500)]
    else:
        start = chance.randrange(max(1, len(blob) - 8))
        blob[start : start + 4] = chance.choice(
            [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"]
        )
    return bytes(blob)


def how_it_ends(path: Path, name: str, limits: Limits = STRICT) -> str:
    """ "read", or the code of the refusal."""
    try:
        return "read" if parse_file(path, limits=limits, filename=name).pages else "nothing"
    except ParseError as error:
        return error.code


def survive(name: str, rounds: range) -> None:
    data = SAMPLES[name]()
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"mutated-{os.getpid()}-{zlib.crc32(name.encode())}"
    try:
        for seed in rounds:
            path.write_bytes(mutated(data, seed))
            ending = how_it_ends(path, name)
            assert ending not in ("parse_error", "parser_crashed"), (name, seed)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "budget.png"])
def test_damaged_files_end_with_a_reason(name):
    survive(name, range(5))


@pytest.mark.long
@pytest.mark.parametrize("name", SAMPLES)
def test_many_damaged_files_end_with_a_reason(name):
    survive(name, range(5, 5 + ROUNDS))


@pytest.mark.long
@pytest.mark.skipif("PARSING_FOLDER" not in os.environ, reason="PARSING_FOLDER names a folder of documents to read")
def test_every_file_of_a_folder_is_read_or_refused():
    for path in sorted(Path(os.environ["PARSING_FOLDER"]).rglob("*")):
        if path.is_file():
            assert how_it_ends(path, path.name, Limits()) != "parser_crashed", path
