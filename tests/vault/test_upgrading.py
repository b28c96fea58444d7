"""An installation from before the vault: rows and files become sealed, also when it is interrupted."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEFORE = """
import uuid
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
call_command("migrate", verbosity=0, interactive=False, app_label="documents", migration_name="0001")
call_command("migrate", verbosity=0, interactive=False, app_label="chat", migration_name="0002")
at = [("documents", "0001_initial"), ("chat", "0002_daily_questions")]
apps = MigrationExecutor(connection).loader.project_state(at).apps
User, m = apps.get_model("accounts", "User"), apps.get_model
boss = User.objects.create(email="boss@company.example", role="administrator")
place = m("documents", "Collection").objects.create(slug="rules", name="Rules")
scope = m("documents", "Scope").objects.create(collection=place, key="")
for at in range(250):
    row = m("documents", "Document").objects.create(
        collection=place, scope=scope, title=f"canary title {at}", source="canary/path")
    version = m("documents", "DocumentVersion").objects.create(
        document=row, number=1, file=f"{row.pk}/1-x", filename=f"canary{at}.txt", size=12, sha256="0" * 64,
        status="ready", hidden_text=[{"page": 1, "reason": "white", "text": "canary hidden"}])
    row.current = version
    row.save()
    m("documents", "Page").objects.create(version=version, number=1, label="canary label", text="canary page \\\\ 鸟")
    m("documents", "Chunk").objects.create(document=row, version=version, ordinal=0, page=1, headings=["canary"],
        char_start=0, char_end=5, text="canary chunk", embedding=b"canary vector...")
    if at == 0:
        from django.conf import settings
        path = settings.UPLOADS_DIR / version.file.name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"canary bytes")
        talk = m("chat", "Conversation").objects.create(owner=boss, title="canary talk")
        m("chat", "Conversation").objects.create(owner=boss)
        answer = m("chat", "Answer").objects.create(conversation=talk, owner=boss, question="canary question?",
            context=[["user", "canary before"]], text="canary answer", thinking="canary thought", status="done",
            outcome="answered", sentences=[["canary answer", [1], True, 0]])
        answer.rests_on.add(row)
        m("chat", "Citation").objects.create(
            answer=answer, marker=1, document=row, version=version, title="canary title", page=1,
            quote="canary page", char_start=0, char_end=5)
        m("chat", "Feedback").objects.create(answer=answer, good=True, reason="canary reason")
"""
INTERRUPTED = """
from assistant.vault import upgrading
from django.core.management import call_command
seal, seen = upgrading._seal_row, []
def once(row, columns):
    seen.append(row)
    if len(seen) > 400:
        raise KeyboardInterrupt
    return seal(row, columns)
upgrading._seal_row = once
try:
    call_command("migrate", verbosity=0, interactive=False)
except KeyboardInterrupt:
    print("interrupted")
"""
AFTER = """
from assistant.chat.models import *
from assistant.documents.models import *
from assistant.documents import storage
row = next(row for row in Document.objects.all() if row.title == "canary title 0")
version = row.latest
print(Document.objects.count(), sum(row.source == "canary/path" for row in Document.objects.all()))
print(version.filename, version.hidden_text[0]["text"], storage.open_original(version.stored, version.file_key).read())
print(version.pages.get().label, version.pages.get().text)
chunk = row.chunks.get()
print(chunk.headings, chunk.text, bytes(chunk.embedding))
answer = Answer.objects.get()
print(answer.question, answer.context, answer.text, answer.thinking, answer.sentences, answer.conversation.title)
print(answer.citations.get().title, answer.citations.get().quote, answer.feedback.reason)
talk = Conversation.objects.exclude(pk=answer.conversation_id).get()
talk.title = "later"
talk.save()
"""


def manage(data: Path, *arguments: str) -> str:
    environment = {**os.environ, "ASSISTANT_DATA_DIR": str(data)}
    environment.pop("REDIS_URL", None)
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readable_rows_and_files_become_sealed_and_read_as_before(tmp_path):
    tmp_path.chmod(0o700)
    manage(tmp_path, "shell", "-v0", "-c", BEFORE)
    assert b"canary" in (tmp_path / "assistant.sqlite3").read_bytes()
    assert manage(tmp_path, "shell", "-v0", "-c", INTERRUPTED).strip() == "interrupted"
    manage(tmp_path, "migrate", "--noinput", "-v0")
    assert "Sealed 1 originals; 249 are not on this host." in manage(tmp_path, "vault", "seal")
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path
    assert manage(tmp_path, "shell", "-v0", "-c", AFTER).splitlines() == [
        "250 250",
        "canary0.txt canary hidden b'canary bytes'",
        "canary label canary page \\ 鸟",
        "['canary'] canary chunk b'canary vector...'",
        "canary question? [['user', 'canary before']] canary answer canary thought "
        "[['canary answer', [1], True, 0]] canary talk",
        "canary title canary page canary reason",
    ]
