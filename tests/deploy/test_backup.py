"""The backup script for real: a small installation, its archive, and an empty machine that becomes the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(data: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environment = {**kept, "ASSISTANT_DATA_DIR": str(data), "ASSISTANT_PYTHON": sys.executable}
    return subprocess.run(command, cwd=ROOT, env=environment, check=check, capture_output=True, text=True, timeout=120)


def manage(data: Path, *arguments: str) -> str:
    return run(data, sys.executable, "manage.py", *arguments).stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    data, place = tmp_path_factory.mktemp("installation"), tmp_path_factory.mktemp("backups")
    manage(data, "migrate", "--noinput", "--verbosity", "0")
    manage(data, "create_user", "keeper@company.example", "--role", "administrator")
    (data / "uploads").mkdir()
    (data / "uploads" / "original").write_bytes(b"an original")
    run(data, "deploy/backup.sh", str(place))
    (found,) = place.glob("assistant-2*.tar")
    return found


def test_archive_is_private(archive):
    assert archive.stat().st_mode & 0o077 == 0


def test_restored_installation_has_people_originals_keys_and_a_verified_record(archive, tmp_path):
    data = tmp_path / "empty"
    done = run(data, "deploy/backup.sh", "--restore", str(archive))
    assert f"Restored into {data}" in done.stdout
    assert (data / "uploads" / "original").read_bytes() == b"an original"
    assert (data / "secrets" / "audit_key").is_file()
    people = manage(data, "shell", "-v0", "-c", "from assistant.accounts.models import User; print(User.objects.get())")
    assert people.strip().endswith("keeper@company.example")


def test_existing_data_is_never_overwritten(archive, tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "mine").write_text("kept")
    done = run(tmp_path, "deploy/backup.sh", "--restore", str(archive), check=False)
    assert done.returncode == 1
    assert "Refusing to restore over existing data" in done.stderr
    assert (tmp_path / "uploads" / "mine").read_text() == "kept"


def shell(data: Path, code: str) -> str:
    return manage(data, "shell", "-v0", "-c", code).strip()


MAKE = """
import io
from assistant.accounts.models import User
from assistant.documents import services
from assistant.chat.models import Conversation
boss = User.objects.get()
here = services.create_collection(actor=boss, slug="rules")
for name in ("kept", "lost"):
    services.upload(actor=boss, collection=here, filename=f"{name}.txt", file=io.BytesIO(b"canary-of-" + name.encode()))
    Conversation.objects.create(owner=boss, title=f"canary-of-{name}")
"""
ERASE = """
from assistant.accounts.models import User
from assistant.chat import services as chat
from assistant.chat.models import Conversation
from assistant.documents import services
from assistant.documents.models import Document
boss = User.objects.get()
for row in Document.objects.all():
    if row.title == "lost":
        services.delete(actor=boss, document=row)
chat.erase(Conversation.objects.filter(pk__in=[c.pk for c in Conversation.objects.all() if c.title.endswith("lost")]))
"""
SHOW = """
from assistant.documents import storage
from assistant.documents.models import Document
from assistant.chat.models import Conversation
print([row.title for row in Document.objects.all()], [row.title for row in Conversation.objects.all()])
versions = [version for row in Document.objects.all() for version in row.versions.all()]
print([storage.open_original(version.stored, version.file_key).read() for version in versions])
"""


def test_what_was_erased_later_is_unreadable_in_an_older_archive_and_forgotten_when_it_is_restored(tmp_path):
    data, place, empty = tmp_path / "data", tmp_path / "backups", tmp_path / "empty"
    manage(data, "migrate", "--noinput", "--verbosity", "0")
    manage(data, "create_user", "keeper@company.example", "--role", "administrator")
    shell(data, MAKE)
    run(data, "deploy/backup.sh", str(place))
    (old,) = place.glob("assistant-2*.tar")
    first_keys = (place / "assistant-keys.tar").read_bytes()
    for content in (old.read_bytes(), first_keys):
        assert b"canary-of-" not in content
    shell(data, ERASE)
    run(data, sys.executable, "manage.py", "vault", "rotate")
    run(data, "deploy/backup.sh", str(place))
    done = run(empty, "deploy/backup.sh", "--restore", str(old))
    assert "documents: 1, conversations: 1" in done.stdout
    assert shell(empty, SHOW).splitlines() == ["['kept'] ['canary-of-kept']", "[b'canary-of-kept']"]


def test_archive_without_its_keys_is_not_restored(archive, tmp_path):
    lonely = tmp_path / "alone" / archive.name
    lonely.parent.mkdir()
    lonely.write_bytes(archive.read_bytes())
    done = run(tmp_path / "empty", "deploy/backup.sh", "--restore", str(lonely), check=False)
    assert done.returncode == 1
    assert "file of keys is missing" in done.stderr
