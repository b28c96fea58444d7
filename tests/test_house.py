"""The house keeps its shape: what the web process loads, where files lie, how long they are."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "sentence_transformers", "faiss", "bitsandbytes", "openvino", "onnxruntime"}


def test_web_process_loads_no_heavy_library(tmp_path):
    program = (
        "import sys, assistant.asgi, django.urls\n"
        "django.urls.get_resolver().reverse_dict\n"
        "def walk(r):\n"
        "    for p in r.url_patterns:\n"
        "        walk(p) if hasattr(p, 'url_patterns') else p.callback\n"
        "walk(django.urls.get_resolver())\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "ASSISTANT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "django" in loaded
    assert not loaded & HEAVY


def test_top_level_stays():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.partition("/")[0] for line in tracked.splitlines()}
    assert top == {
        *("pyproject.toml", "README.md", "Makefile", "manage.py", "assistant", "retrieval", "inference", "templates"),
        *("tests", "deploy", ".ci", "LICENSE", "CHANGELOG.md", "THREAT_MODEL.md", ".gitignore"),
    }


def test_files_stay_readable():
    """Past about 400 lines a file wants a second room."""
    long = {}
    for room in ("assistant", "retrieval", "inference"):
        for path in (ROOT / room).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > 450 and "migrations" not in path.parts and "content" not in path.parts:
                long[str(path.relative_to(ROOT))] = lines
    assert long == {}


def test_nothing_pickles_or_trusts_remote_code():
    for room in ("assistant", "retrieval", "inference"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "import pickle" not in text, path
            assert "trust_remote_code=True" not in text, path


def test_no_script_writes_markup():
    for path in (ROOT / "assistant").rglob("static/**/*.js"):
        text = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (path, word)
