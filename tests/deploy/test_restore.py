"""A backup restored on an empty machine is the same product: its record verifies, what was answered is still shown
with its citations, and the same questions get the same answers from the same places. On both databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from assistant.runtime import private_redis
from tests.postgres import PostgresMissing, private_postgres

ROOT = Path(__file__).parents[2]
QUESTIONS = [
    "What is the meal allowance in Germany?",
    "Who approves a business trip outside Europe?",
    "员工每年有多少天年假？",
    "What does the chairman earn?",
]

BUILD = """
import io
from assistant.accounts.models import User
from assistant.documents import ingestion, services
boss = User.objects.get()
here = services.create_collection(actor=boss, slug="rules", name="Rules")
services.grant_collection(actor=boss, collection=here, principal="everyone", access="reader")
for name, text in {
    "travel.md": "# Travel\\n\\nThe meal allowance in Germany is 28 euros per day. The meal allowance in France is 40 "
    "euros per day.\\n\\n# Approval\\n\\nThe head of department approves every business trip outside Europe.",
    "leave.txt": "休假制度\\n\\n员工每年享有三十天年假。未休完的年假可以结转到次年三月三十一日。",
}.items():
    document, _ = services.upload(actor=boss, collection=here, filename=name, file=io.BytesIO(text.encode()))
    assert isinstance(ingestion.ingest(document.latest.pk), ingestion.Ready)
"""
SHOWN = """
import json
from dataclasses import asdict
from assistant.accounts.models import User
from assistant.chat import services, tasks
from assistant.chat.models import Answer
boss = User.objects.get()
def told(answer):
    view = services.present(actor=boss, answer=answer)
    places = [[c.marker, str(c.document), c.page, c.char_start, c.char_end, c.quote] for c in view.citations]
    return [view.question, view.outcome, view.text, places]
before = [told(answer) for answer in Answer.objects.filter(owner=boss).order_by("created_at")]
asked = []
for question in json.loads('''QUESTIONS'''):
    answer, _ = services.ask(actor=boss, question=question)
    tasks.work(answer.pk)
    answer.refresh_from_db()
    asked.append(told(answer))
print(json.dumps([before, asked]))
"""


class Machine:
    """An installation: a data directory, a database, and commands run in processes of their own."""

    def __init__(self, data: Path, database: str, redis: str) -> None:
        self.data = data
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        self.environment = {
            **kept,
            "ASSISTANT_DATA_DIR": str(data),
            "ASSISTANT_PYTHON": sys.executable,
            "REDIS_URL": redis,
            **({"DATABASE_URL": database} if database else {}),
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def manage(self, *arguments: str) -> str:
        return self.run(sys.executable, "manage.py", *arguments)

    def asks(self, first: str = "") -> list[list]:
        """[what is shown of the answers it had, what it answers now]; `first` is run before."""
        code = first + SHOWN.replace("QUESTIONS", json.dumps(QUESTIONS, ensure_ascii=True).replace("\\", "\\\\"))
        return json.loads(self.manage("shell", "-v0", "-c", code).strip().splitlines()[-1])


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def machines(request, tmp_path) -> Iterator[tuple[Machine, Machine]]:
    """The one that is backed up and an empty one."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))  # a socket's path must be short
        redis = stack.enter_context(private_redis.running(directory=place, socket=place / "r.sock"))
        urls = "", ""
        if request.param == "postgres":
            try:
                url = stack.enter_context(private_postgres())
            except PostgresMissing as missing:
                pytest.skip(str(missing))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE empty")
            urls = url, url.rsplit("/", 1)[0] + "/empty"
        yield Machine(tmp_path / "first", urls[0], redis), Machine(tmp_path / "second", urls[1], redis)


@pytest.mark.timeout(900)
def test_a_restored_machine_gives_the_same_answers_from_the_same_places(machines, tmp_path):
    first, second = machines
    first.manage("migrate", "--noinput", "--verbosity", "0")
    first.manage("create_user", "keeper@company.example", "--role", "administrator")
    nothing, answered = first.asks(BUILD)
    assert nothing == []
    assert [outcome for _, outcome, *_ in answered] == ["answered", "answered", "answered", "not_found"]
    assert all(places for _, outcome, _, places in answered if outcome == "answered")

    first.run("deploy/backup.sh", str(tmp_path / "backups"))
    (archive,) = (tmp_path / "backups").glob("assistant-2*.tar")
    restored = second.run("deploy/backup.sh", "--restore", str(archive))
    assert f"Restored into {second.data}" in restored
    shown, again = second.asks()
    assert shown == answered
    assert again == answered
    second.manage("audit_verify")  # and the record goes on from where it was
