"""Every weak setting is named by its id; dangerous ones stop a server process."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from assistant import checks, environment
from assistant import settings as definitions


def ids() -> set[str]:
    return {message.id for message in checks.check_settings()}


CASES = [
    ("assistant.E001", {"DEBUG": True, "SITE_URL": "https://a.example", "HTTPS": True}),
    ("assistant.E002", {"SITE_URL": "http://a.example", "HTTPS": False}),
    ("assistant.E003", {"ALLOWED_HOSTS": ["*"]}),
    ("assistant.E004", {"ENGINE": "oracle"}),
    ("assistant.E005", {"SECRET_KEY": "short"}),
    ("assistant.E006", {"AUDIT_KEY": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}),
    ("assistant.E008", {"REDIS_URL": "redis://10.0.0.5:6379/0"}),
    ("assistant.E011", {"ENGINE": "transformers", "MODEL": ""}),
    ("assistant.E012", {"QUANTIZATION": "q2"}),
    ("assistant.E013", {"ENGINE": "remote"}),
    ("assistant.E014", {"ENGINE": "remote", "REMOTE_URL": "http://10.0.0.9/v1", "REMOTE_MODEL": "r1"}),
    ("assistant.E016", {"RERANKER": "/nowhere/reranker"}),
    ("assistant.W002", {"REDIS_URL": "redis://:password@10.0.0.5:6379/0"}),
    ("assistant.W001", {"SITE_URL": "https://a.example", "HTTPS": True}),
]


@pytest.mark.parametrize(("check", "changes"), CASES, ids=[case[0] for case in CASES])
def test_weak_setting_is_found(settings, check, changes):
    if check == "assistant.W001" and not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        pytest.skip("this run is on PostgreSQL")
    assert check not in ids()
    for name, value in changes.items():
        setattr(settings, name, value)
    assert check in ids()


@pytest.mark.parametrize(("worker", "wanted"), [("answers", 7), ("ingestion", 3)])
def test_workers_have_the_size_that_the_environment_gives(worker, wanted):
    environment = {**os.environ, "ASSISTANT_WORKER": worker, "ANSWER_SLOTS": "7", "INGESTION_PROCESSES": "3"}
    code = "from assistant.celery import app; print(app.conf.worker_concurrency)"
    told = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout == f"{wanted}\n"


def test_world_readable_data_is_refused(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir(mode=0o755)
    settings.DATA_DIR.chmod(0o755)
    with pytest.raises(ImproperlyConfigured, match=r"E009.*chmod"):
        checks.refuse_unsafe_start()


def test_default_settings_start():
    checks.refuse_unsafe_start()


@pytest.mark.parametrize("value", ["ja", "2", "enabled"])
def test_boolean_settings_refuse_other_words(monkeypatch, value):
    monkeypatch.setenv("DEBUG", value)
    with pytest.raises(ImproperlyConfigured, match="DEBUG must be true or false"):
        environment.env_bool("DEBUG", False)


def test_a_file_where_the_secrets_belong_is_named_in_one_sentence(tmp_path):
    (tmp_path / "secrets").write_text("x")
    with pytest.raises(ImproperlyConfigured, match=r"secrets is no folder\. Move that file away, or set SOME_KEY"):
        environment.env_secret("SOME_KEY", tmp_path / "secrets")


def test_secret_is_generated_once_and_private(tmp_path):
    first = environment.env_secret("SOME_KEY", tmp_path / "secrets")
    assert len(first) >= 32
    assert environment.env_secret("SOME_KEY", tmp_path / "secrets") == first
    assert (tmp_path / "secrets" / "some_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("address", ["tcp://[::1", "tcp://10.0.0.5:99999", "redis://:se#cret@host:66666666"])
def test_an_address_that_is_none_is_refused_with_an_example_and_without_its_secrets(address):
    with pytest.raises(ImproperlyConfigured, match=r"AUDIT_SYSLOG=tcp://10\.0\.0\.5:601") as refused:
        environment.host_of("AUDIT_SYSLOG", address, "tcp://10.0.0.5:601")
    assert address not in str(refused.value)


def test_secret_file_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_KEY_FILE", "/nonexistent/key")
    with pytest.raises(ImproperlyConfigured, match="SOME_KEY_FILE=/nonexistent/key"):
        environment.env_secret("SOME_KEY", tmp_path)


@pytest.mark.parametrize("there", [False, True])
def test_a_data_directory_that_cannot_be_made_is_named_without_a_traceback(tmp_path, there):
    place = tmp_path / "file" / ("" if there else "data")
    (tmp_path / "file").write_text("no directory")
    done = subprocess.run(
        [sys.executable, definitions.BASE_DIR / "manage.py", "check"],
        env={**os.environ, "ASSISTANT_DATA_DIR": str(place)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Not started: The data directory {place} cannot be made: ")
    assert "Set ASSISTANT_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr
