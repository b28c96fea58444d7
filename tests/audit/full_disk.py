"""A company whose database lies on a disk that becomes full, run by `test_full_disk` in a mount namespace of its own.

    python -m tests.audit.full_disk sqlite|postgresql DISK

DISK is an empty directory: a small file system in memory is mounted there. On SQLite the whole data directory lies on
it, on PostgreSQL the server's. The last line is one JSON object of what happened.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

SIZES = {"sqlite": "48m", "postgresql": "200m"}
MOST = 400  # questions until the disk's last free pages are used up; it takes a few


def main(kind: str, disk: Path) -> None:
    from tests.postgres import private_postgres

    options = f"size={SIZES[kind]},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    tempfile.tempdir = str(disk)
    server = private_postgres() if kind == "postgresql" else nullcontext("")
    with server as url, tempfile.TemporaryDirectory(dir=disk.parent) as elsewhere:
        tempfile.tempdir = None
        os.environ["ASSISTANT_DATA_DIR"] = elsewhere if url else str(disk / "data")
        os.environ.pop("DATABASE_URL", None)
        if url:
            os.environ["DATABASE_URL"] = url
        import django

        django.setup()
        print(json.dumps(story(disk)))


def story(disk: Path) -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connections
    from django.test import Client

    from assistant.accounts.models import User
    from assistant.accounts.tokens import issue_token
    from assistant.audit import reading, services
    from assistant.audit.models import AuditEvent
    from assistant.chat import tasks
    from assistant.chat.models import Answer
    from tests.chat import library

    call_command("migrate", verbosity=0)
    person = User.objects.create(email="li@company.example", role="employee", name="Li")
    library.write_document(library.collection("handbook", "everyone"), "Travel Policy", library.TRAVEL)
    _, token = issue_token(actor=person, user=person, name="desk")
    client = Client(headers={"authorization": f"Bearer {token}"})

    def ask() -> tuple[int, str, float]:
        began = time.monotonic()
        body = {"question": "What is the meal allowance in Germany?"}
        answer = client.post("/api/v1/answers/", body, content_type="application/json")
        found = answer.json()
        return answer.status_code, found.get("id", found.get("code")), time.monotonic() - began

    def recorded(answer: str, action: str) -> bool:
        return AuditEvent.objects.filter(target_id=answer, action=action).exists()

    def outcome(answer: str) -> str:
        Answer.objects.filter(pk=answer).update(lease_until=None)
        tasks.work(Answer.objects.get(pk=answer).pk)
        return Answer.objects.get(pk=answer).outcome

    services.checkpoint()
    before = ask()
    told: dict[str, Any] = {"before": [before[0], outcome(before[1])]}
    waiting = ask()[1]
    leave_no_spare_room()
    filler = fill(disk)
    accepted, refused = [], []
    while len(refused) < 3 and len(accepted) < MOST:
        status, name, seconds = ask()
        (accepted if status == 202 else refused).append((status, name, seconds))
    told["refused"] = sorted({(status, code) for status, code, _ in refused})
    told["quickest"] = round(min((seconds for *_, seconds in refused), default=-1.0), 3)
    told["accepted without a record"] = [name for _, name, _ in accepted if not recorded(name, "answer.asked")]
    told["stored though refused"] = Answer.objects.count() - len(accepted) - 2
    try:
        tasks.work(Answer.objects.get(pk=waiting).pk)
    except Exception as error:
        told["worker"] = type(error).__name__
    row = Answer.objects.get(pk=waiting)
    told["text without a record"] = bool(row.text) and not recorded(waiting, "answer.shown")
    filler.unlink()
    after = ask()
    told["after"] = [after[0], outcome(after[1])]
    told["waiting"] = row.outcome or outcome(waiting)
    services.checkpoint()
    report = reading.verify_log()
    told["verified"] = report.ok
    told["finding"] = str(report.finding or "")
    connections.close_all()
    return told


def leave_no_spare_room() -> None:
    """What a database has set aside would take some hundred questions more: SQLite's write-ahead log is cut to
    nothing. PostgreSQL begins a new file of its own, for a server without any stops as a whole."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            cursor.execute("SELECT pg_switch_wal()")
            cursor.execute("CREATE TABLE begins_a_file AS SELECT 1 AS one")
            cursor.execute("CHECKPOINT")


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 20, 4096, 1):
            try:
                while stream.write(b"\0" * size) == size:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return path


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
