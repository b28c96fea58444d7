"""The log hangs, or its disk is full in fact: no record, no answer, soon; afterwards it goes on without a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from assistant.audit import outside
from assistant.audit.models import AuditEvent
from assistant.audit.verification import Checkpoint
from assistant.chat.models import Answer
from tests.audit.locked import GENEROUS_S, locked_log, quickest

ROOT = Path(__file__).parents[2]
ASK = {"question": "How much?", "model": "assistant", "messages": [{"role": "user", "content": "How much?"}]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("address", "done"), [("/", 302), ("/api/v1/answers/", 202), ("/v1/chat/completions", None)])
def test_every_door_for_questions_says_503_while_the_log_hangs_and_opens_again(people, address, done):
    client = Client()
    client.force_login(people.employee)

    def ask():
        return client.post(address, ASK, **({} if address == "/" else {"content_type": "application/json"}))

    client.get(address)  # what a process does once is done

    def refused():
        response = ask()
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0

    with locked_log():
        assert quickest(refused) < GENEROUS_S
    assert not Answer.objects.exists()
    assert not AuditEvent.objects.filter(action="answer.asked").exists()
    if done:  # the third waits for a worker's answer
        assert ask().status_code == done
        assert AuditEvent.objects.filter(action="answer.asked", outcome="intent").count() == 1
        assert Answer.objects.count() == 1


def own_mounts() -> list[str]:
    """The command that gives a program mounts of its own; skips where nobody may have them."""
    as_root = os.geteuid() == 0
    if connection.vendor == "postgresql" and not as_root:
        pytest.skip("only root may mount a disk and run PostgreSQL on it as another user")
    command = ["unshare", "-m"] if as_root else ["unshare", "-rm"]
    try:
        done = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare (util-linux)")
    if done.returncode:
        pytest.skip(f"this host gives nobody mounts of their own: {done.stderr.decode().strip()[-200:]}")
    return command


@pytest.mark.timeout(600)
def test_a_full_disk_refuses_every_question_and_recovers_without_a_restart(redis_server):
    command = own_mounts()
    with tempfile.TemporaryDirectory(prefix="disk-") as name:
        Path(name).chmod(0o755)  # PostgreSQL's user has to reach it
        disk = Path(name) / "disk"
        disk.mkdir()
        done = subprocess.run(
            [*command, sys.executable, "-m", "tests.audit.full_disk", connection.vendor, str(disk)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=500,
            env={**os.environ, "REDIS_URL": redis_server, "ANSWER_QUEUE_LIMIT": "2000"},
        )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told["before"] == [202, "answered"]
    assert {status for status, _ in told["refused"]} == {503}
    assert told["quickest"] < GENEROUS_S
    assert told["accepted without a record"] == []
    assert told["stored though refused"] == 0
    assert told["text without a record"] is False
    assert told["after"] == [202, "answered"]
    assert told["waiting"] == "answered"
    assert told["verified"], told["finding"]


def checkpoint(seq: int) -> Checkpoint:
    return Checkpoint(seq, "2026-01-01T00:00:00.000000Z", "0" * 64, "signature")


def test_half_a_line_left_by_a_full_disk_or_a_crash_does_not_spoil_the_next_checkpoint(tmp_path, monkeypatch):
    written = tmp_path / outside.CHECKPOINTS
    outside.append_checkpoint(tmp_path, checkpoint(1))
    whole = written.read_bytes()
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(outside.os, "write", lambda descriptor, line: write(descriptor, line[:20]))
        with pytest.raises(OSError, match="No space left"):
            outside.append_checkpoint(tmp_path, checkpoint(2))
    assert written.read_bytes() == whole
    with written.open("ab") as stream:
        stream.write(b'{"at": "2026-01')  # a crash in the middle of a line
    outside.append_checkpoint(tmp_path, checkpoint(3))
    assert [found.seq for found in outside.read_checkpoints(written)] == [1, 3]
