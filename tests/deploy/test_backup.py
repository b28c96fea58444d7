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
    (found,) = place.glob("assistant-*.tar")
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
