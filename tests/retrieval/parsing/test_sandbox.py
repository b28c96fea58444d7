"""The parser's process: what it may not do, how it is stopped, and how hostile containers end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import docx
import psutil
import pytest

from retrieval.errors import CorruptDocument, EmptyDocument, LimitExceeded, ParserCrashed, UnsupportedFormat
from retrieval.parsing import Limits, parse_file, render_page, sandbox_layers
from retrieval.parsing.sandbox.parent import _library_paths, _nursery
from tests.retrieval.parsing.helpers import parse
from tests.retrieval.parsing.samples import SENTENCE, mail, outlook, packed, pdf, word

ATTEMPTS = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
import ctypes, socket, subprocess, threading
from retrieval.parsing.sandbox import isolation
folder, outside, port = sys.argv[2], sys.argv[3], int(sys.argv[4])
layers = isolation.apply(memory=1 << 30, cpu=20, output=1 << 20, folder=folder, readable=json.loads(sys.argv[5]))
libc = ctypes.CDLL(None, use_errno=True)

def attempt(action):
    try:
        return "done" if action() is not False else "refused"
    except Exception as error:
        return type(error).__name__

def thread():
    done = []
    worker = threading.Thread(target=lambda: done.append(1))
    worker.start()
    worker.join()
    return bool(done)

results = {
    "socket": attempt(lambda: socket.socket()),
    "raw socket call": attempt(lambda: libc.socket(2, 1, 0) >= 0),
    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", port), 1)),
    "program": attempt(lambda: subprocess.run(["/bin/true"])),
    "raw fork": attempt(lambda: libc.fork() > 0),
    "read outside": attempt(lambda: open(outside).read()),
    "write outside": attempt(lambda: open(outside, "w")),
    "write inside": attempt(lambda: open(os.path.join(folder, "x"), "w").write("x")),
    "thread": attempt(thread),
    "environment": sorted(os.environ),
}
print(json.dumps({"layers": layers, "results": results}))
"""


def isolated(tmp_path) -> dict:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    folder = tmp_path / "own"
    folder.mkdir()
    paths, readable = _library_paths()
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [json.dumps(paths), str(folder), str(outside), str(server.getsockname()[1]), json.dumps(readable)]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ATTEMPTS, *arguments],
            capture_output=True,
            text=True,
            env={},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_layers_in_force_are_reported():
    layers = sandbox_layers()
    assert set(layers) == {"rlimits", "namespaces", "no_new_privileges", "landlock", "seccomp", "audit_hook"}
    assert layers["rlimits"]
    assert layers["audit_hook"]


def test_isolated_process_cannot_reach_out(tmp_path):
    found = isolated(tmp_path)
    layers, results = found["layers"], found["results"]
    for action in ("socket", "connect", "program"):
        assert results[action] != "done"
    if layers["seccomp"]:
        assert results["raw socket call"] == "refused"
        assert results["raw fork"] == "refused"
    if layers["landlock"]:
        assert results["read outside"] == "PermissionError"
        assert results["write outside"] == "PermissionError"
    assert results["write inside"] == "done"
    assert results["thread"] == "done"


def test_neither_zygote_nor_child_has_an_environment_of_ours(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not leak")
    _nursery().close()
    parse(b"A short text.", "a.txt")
    (zygote,) = zygotes()
    assert set(zygote.environ()) <= {"LANG", "HOME", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LC_CTYPE"}


def zygotes() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile, or waits to be reaped
            if "retrieval.parsing.sandbox.zygote" in " ".join(child.cmdline()):
                found.append(child)
    return found


def wait_until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_files_are_read_by_one_process_each_forked_from_one_zygote():
    for _ in range(3):
        parse(b"A short text.", "a.txt")
    (zygote,) = zygotes()
    assert not zygote.children()
    assert len(zygote.threads()) == 1  # else forking would not be safe
    assert not [file for file in zygote.open_files() if "/tmp/" in file.path]


def test_a_dead_zygote_is_replaced():
    parse(b"A short text.", "a.txt")
    (zygote,) = zygotes()
    zygote.kill()
    zygote.wait()
    assert parse(b"A short text.", "a.txt").pages[0].text == "A short text."
    assert zygotes() != [zygote]


def test_a_zygote_that_dies_under_a_child_ends_the_call_with_a_reason(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())

    def kill(done, total):
        for zygote in zygotes():  # none at a second call: it is dead already
            zygote.kill()

    with contextlib.suppress(ParserCrashed):  # or the child was quicker
        parse_file(path, filename="a.pdf", on_progress=kill)
    assert parse(b"A short text.", "a.txt").pages


def test_a_forked_worker_has_a_zygote_of_its_own():
    parse(b"A short text.", "a.txt")
    child = os.fork()
    if child == 0:
        ours = parse(b"Read in a fork.", "a.txt").pages[0].text == "Read in a fork." and len(zygotes()) == 1
        _nursery().close()
        os._exit(0 if ours else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert parse(b"A short text.", "a.txt").pages


def test_zygote_ends_with_its_owner():
    code = (
        "import sys, tempfile, pathlib, psutil\n"
        "from retrieval.parsing import parse_file\n"
        "path = pathlib.Path(tempfile.mkstemp()[1]); path.write_text('A short text.')\n"
        "parse_file(path, filename='a.txt')\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False, cwd=root)
    wait_until(lambda: has_ended(int(done.stdout)))


def test_time_limit_ends_the_child():
    with pytest.raises(LimitExceeded) as caught:
        parse(b"word of text. " * 800_000, "a.txt", Limits(seconds=0.001))  # takes a second at least
    assert caught.value.what == "seconds"
    wait_until(lambda: not [child for zygote in zygotes() for child in zygote.children()])


def test_exception_in_progress_cancels_and_cleans_up(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())

    class Cancelled(Exception):
        pass

    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        parse_file(path, filename="a.pdf", on_progress=cancel)
    assert not list(folder.iterdir())


def test_progress_counts_pages(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    seen = []
    parse_file(path, filename="a.pdf", on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_memory_limit_is_a_reason_not_a_crash():
    with pytest.raises(LimitExceeded) as caught:
        parse(b"words and more words. " * 4_000_000, "a.txt", Limits(memory_bytes=256 << 20, seconds=60))
    assert caught.value.what == "memory_bytes"


def test_output_limit():
    with pytest.raises(LimitExceeded) as caught:
        parse(b"words and more words.\n\n" * 2_000, "a.txt", Limits(output_bytes=4_096, seconds=60))
    assert caught.value.what == "output_bytes"


@pytest.mark.parametrize(
    ("limits", "what"),
    [(Limits(pages=2), "pages"), (Limits(characters=10), "characters"), (Limits(file_bytes=100), "file_bytes")],
)
def test_limits_name_themselves(limits, what):
    with pytest.raises(LimitExceeded) as caught:
        parse(pdf(), "a.pdf", limits)
    assert caught.value.what == what


def rezipped(changes: dict[str, bytes]) -> bytes:
    """The sample DOCX with some members replaced or added."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in changes:
                new.writestr(name, old.read(name))
        for name, content in changes.items():
            new.writestr(name, content)
    return buffer.getvalue()


def test_zip_bomb_is_stopped_while_unpacking():
    with pytest.raises(LimitExceeded) as caught:
        parse(rezipped({"word/document.xml": b"<a>" + b" " * (64 << 20) + b"</a>"}), "a.docx")
    assert caught.value.what in ("archive_ratio", "archive_bytes")


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;">' % ((c, *[c - 1] * 6)) for c in range(98, 112))
    + b"]><d>&o;</d>"
)
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'


@pytest.mark.parametrize("content", [LAUGHS, OUTSIDE, b"<a>" * 100_000 + b"</a>" * 100_000, b"\xff\xfe<", b""])
def test_hostile_xml_is_corrupt(content):
    with pytest.raises(CorruptDocument):
        parse(rezipped({"word/document.xml": content}), "a.docx")


def test_path_names_in_containers_have_no_power(tmp_path):
    data = rezipped({"../../../../tmp/evil.txt": b"x", "/etc/evil": b"x", "C:\\evil": b"x", "a" * 5000: b"x"})
    assert SENTENCE in parse(data, "../../../etc/passwd\n\x00.docx").pages[0].text
    assert not Path("/tmp/evil.txt").exists()


def test_macros_are_noted_not_read():
    assert parse(rezipped({"word/vbaProject.bin": b"evil"}), "a.docm").warnings == (
        "The file contains macros; they were not run and not read.",
    )


def test_attachments_become_pages_under_their_names():
    document = parse(mail(), "a.eml")
    assert [page.label for page in document.pages] == ["Budget", "costs.xlsx · Sheet", "notes.txt"]
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert document.pages[2].text == "Notes of the meeting."


def test_attachments_of_an_outlook_message_become_pages_too():
    document = parse(outlook(), "a.msg")
    assert [page.label for page in document.pages] == ["Budget", "notes.txt", "COSTS.XLS · Costs", "Earlier"]
    assert "Date: 2024-12-30 02:40 UTC" in document.pages[0].text
    assert document.pages[1].text == "Notes of the meeting."
    assert SENTENCE in document.pages[2].text
    assert "What may we spend?" in document.pages[3].text


def test_attachments_within_attachments_end_at_the_depth_limit():
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "innermost"
    message.set_content("The innermost text.")
    for level in range(7):
        outer = EmailMessage()
        outer["From"], outer["To"], outer["Subject"] = "a@example.com", "b@example.com", f"level {level}"
        outer.set_content(f"Text of level {level}.")
        outer.add_attachment(message)
        message = outer
    document = parse(message.as_bytes(), "a.eml")
    text = "\n".join(page.text for page in document.pages)
    assert "Text of level 6." in text
    assert "innermost text" not in text
    assert any("left out" in warning for warning in document.warnings)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyDocument),
        (b"   \n\n ", EmptyDocument),
        (bytes(4096), EmptyDocument),
        (os.urandom(4096), UnsupportedFormat),
        (b"MZ" + bytes(range(256)) * 8, UnsupportedFormat),
        (packed({"a.txt": "x"}), UnsupportedFormat),
        (b"PK\x03\x04" + b"word/document.xml" + bytes(300), CorruptDocument),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), UnsupportedFormat),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), CorruptDocument),
        (b"{\\rtf1" + b"{" * 5000 + b"}" * 5000 + b"}", (LimitExceeded, EmptyDocument)),
        (b"<html>" + b"<div>" * 50_000 + b"deep" + b"</div>" * 50_000, (CorruptDocument, type(None))),
    ],
    ids=[
        "empty",
        "blank",
        "zeros",
        "random",
        "program",
        "zip",
        "zip-cut",
        "ole-cut",
        "png-cut",
        "rtf-deep",
        "html-deep",
    ],
)
def test_things_that_are_no_documents(data, error):
    if isinstance(error, tuple) and type(None) in error:
        with contextlib.suppress(LimitExceeded, CorruptDocument, EmptyDocument):
            parse(data, "page.html")
        return
    with pytest.raises(error):
        parse(data, "something")


def test_pictures_of_other_formats_are_unsupported(tmp_path):
    path = tmp_path / "a.docx"
    document = docx.Document()
    document.add_paragraph("x")
    document.save(str(path))
    with pytest.raises(UnsupportedFormat):
        render_page(path, 1, width=100)
    path.write_bytes(pdf())
    with pytest.raises(UnsupportedFormat):
        render_page(path, 9, width=100)


def test_parsing_leaves_the_web_process_light():
    code = (
        "import sys, retrieval.parsing as p; p.supported_media_types();"
        "bad = {'torch','faiss','transformers','numpy','pypdfium2','lxml','PIL','onnxruntime'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_many_small_files_do_not_pile_up_processes():
    for _ in range(3):
        parse(b"A short text.", "a.txt")
    (zygote,) = zygotes()
    wait_until(lambda: not zygote.children())
    assert not [child for child in psutil.Process().children() if child.pid != zygote.pid and has_ended(child.pid)]
