"""`make test`: every check, in order, and at the end what was run, what failed and what was left out.

A few failed tests are run once more, alone: one that fails again has failed; one that passes is named at the end as
unsteady, for somebody to mend. A machine under load then stops nobody, and nothing is hidden.

    python -m tests --no-route     all of it in a network namespace that has a loopback and nothing else (Linux, root)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.postgres import PostgresMissing, private_postgres

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
BIN = Path(PYTHON).parent
FEW = 5
"""So many failed tests are run again; more have one cause, and it is not chance."""
DATABASE_ROOMS = ["tests/accounts", "tests/backends", "tests/audit", "tests/documents", "tests/chat", "tests/api"]


def run(name: str, command: list[str], **environment: str) -> bool:
    """Run one check with its output shown; True when it passed."""
    print(f"\n== {name}", flush=True)
    began = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode
    print(f"-- {name}: {'ok' if status == 0 else f'FAILED ({status})'} in {time.monotonic() - began:.0f} s", flush=True)
    return status == 0


def run_tests(name: str, options: list[str], unsteady: list[str], **environment: str) -> bool:
    """Run pytest in parallel, then the few tests that failed once more; those that pass now join `unsteady`."""
    with tempfile.TemporaryDirectory(prefix="assistant-pytest-") as cache:
        command = [PYTHON, "-m", "pytest", "-q", "-o", f"cache_dir={cache}"]
        if run(name, [*command, *workers(), *options], **environment):
            return True
        failed = last_failed(Path(cache))
        again = [*command, "--last-failed", "--last-failed-no-failures", "none", *options]
        if not 0 < len(failed) <= FEW or not run(f"{name}, the failed ones again", again, **environment):
            return False
        unsteady += [f"{test} ({name})" for test in failed]
        return True


def last_failed(cache: Path) -> list[str]:
    """Names of the tests that failed in the run that kept its memory in `cache`; empty when it broke off before any."""
    memory = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(memory.read_text())) if memory.is_file() else []


def without_route() -> None:
    """Begin again in a network namespace of its own, whose only address is the loopback; does not return."""
    within = f'ip link set lo up && exec "{PYTHON}" -m tests'
    try:
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", within])
    except FileNotFoundError:
        sys.exit("--no-route needs unshare and ip; on Debian: apt install util-linux iproute2")


def main() -> int:
    left_out: list[str] = []
    unsteady: list[str] = []
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        left_out.append("browser tests: no Chromium (Debian: apt install chromium)")
    if find_spec("llama_cpp") is None:
        left_out.append("the GGUF engine: llama.cpp is not installed (make test-gguf)")
    with tempfile.TemporaryDirectory(prefix="assistant-check-") as data:
        checks = [
            ("lint", [str(BIN / "ruff"), "check", "."], {}),
            ("format", [str(BIN / "ruff"), "format", "--check", "."], {}),
            ("types", [str(BIN / "mypy"), "assistant", "retrieval", "inference"], {"ASSISTANT_DATA_DIR": data}),
            ("import contracts", [str(BIN / "lint-imports")], {}),
            (
                "migrations",
                [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"],
                {"ASSISTANT_DATA_DIR": data},
            ),
            (
                "deployment checks",
                [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
                {
                    "ASSISTANT_DATA_DIR": data,
                    "DATABASE_URL": "postgres://assistant@database/assistant",
                    "SITE_URL": "https://assistant.company.example",
                    "ALLOWED_HOSTS": "assistant.company.example",
                },
            ),
        ]
        failed = [name for name, command, environment in checks if not run(name, command, **environment)]
    # On PostgreSQL first, so that the closing line is the whole suite's.
    try:
        with private_postgres() as url:
            rooms = [room for room in DATABASE_ROOMS if (ROOT / room).is_dir()]
            options = ["-m", "not long and not browser", *rooms]
            if not run_tests("tests on PostgreSQL", options, unsteady, DATABASE_URL=url):
                failed.append("tests on PostgreSQL")
    except PostgresMissing as error:
        left_out.append(f"PostgreSQL tests: {error}")
    if not run_tests("tests on SQLite", ["-m", "not long"], unsteady):
        failed.append("tests on SQLite")
    print()
    for line in left_out:
        print(f"Left out: {line}")
    for line in unsteady:
        print(f"Unsteady, failed once and passed alone: {line}")
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def workers() -> list[str]:
    return ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]


if __name__ == "__main__":
    if "--no-route" in sys.argv[1:]:
        without_route()
    sys.exit(main())
