"""Fixtures for every test: a real Redis on a Unix socket, a data directory of its own, and a few named people.

The suite runs on SQLite, or on the database that DATABASE_URL names.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

# Before Django reads its settings: everything the suite writes lies in one temporary directory per process.
_DATA = Path(tempfile.mkdtemp(prefix="assistant-tests-"))
os.environ["ASSISTANT_DATA_DIR"] = str(_DATA)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
os.environ["REDIS_URL"] = f"unix://{_DATA / 'redis.sock'}?db=0"
os.environ.setdefault("ALLOWED_HOSTS", "127.0.0.1,localhost,testserver")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is first imported, by whichever library

import hypothesis  # noqa: E402

# Drawn from the test's own name: two runs of one state of the code try the same examples, on a slow machine too. Only
# who asks for it explores: HYPOTHESIS_PROFILE=explore, which prints what repeats a failure.
_ALIKE: dict[str, Any] = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("steady", derandomize=True, database=None, **_ALIKE)
hypothesis.settings.register_profile("explore", derandomize=False, **_ALIKE)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

import django  # noqa: E402  (only now: settings read the environment above)

django.setup()

from django.conf import settings  # noqa: E402

settings.STATIC_ROOT.mkdir(exist_ok=True)
settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A real file, as in production: threads and processes have connections of their own and wait for each other.
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(_DATA / "test.sqlite3")
atexit.register(shutil.rmtree, _DATA, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """The processes that run tests in parallel begin as this one did: they read the lines above before the settings."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """A real redis-server for this test process; the URL. Local socket only."""
    from assistant.runtime import private_redis

    with private_redis.running(directory=_DATA, socket=_DATA / "redis.sock") as url:
        yield url


@pytest.fixture(autouse=True, scope="session")
def _redis_for_all(redis_server: str) -> None:
    """Sign-in throttles and live streams need it; starting it takes milliseconds."""


@pytest.fixture(autouse=True, scope="session")
def _searches_wait_for_a_slow_machine() -> Iterator[None]:
    """The first search of a process loads its models."""
    from assistant.documents.services import asking

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "WAIT_SECONDS", 60)
        yield


@pytest.fixture(autouse=True)
def _clean_redis(redis_server: str) -> Iterator[None]:
    yield
    from assistant.transport import redis_client

    redis_client().flushall()


@pytest.fixture(autouse=True, scope="session")
def _flush_in_spite_of_the_audit_triggers() -> Iterator[None]:
    """A transactional test ends by emptying every table, which the audit tables refuse: their triggers step aside, once
    nobody reads any more.

    The files that remember the audit log go with it.
    """
    from django.db import connection
    from django.test import TransactionTestCase

    from assistant.audit import services, triggers

    from .flush import wait_for_readers

    teardown = TransactionTestCase._fixture_teardown

    def flush(case: TransactionTestCase) -> None:
        wait_for_readers()
        triggers.remove(connection)
        try:
            teardown(case)
        finally:
            triggers.install(connection)
            shutil.rmtree(services.directory(), ignore_errors=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush)
        yield


@pytest.fixture(autouse=True)
def _no_keys_of_other_tests() -> Iterator[None]:
    """A test's rows are rolled back and their numbers used again: the keys this process remembers go with them."""
    from assistant.vault import ring

    ring.forget()
    yield
    ring.forget()


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's clock starts at noon of today and goes on from there: no day, week or year ends in mid-test.

    For tests that speak of days. Ask for it first: what was made before keeps the real time.
    """
    from django.utils import timezone

    real = timezone.now
    today = timezone.localtime()
    ahead = today.replace(hour=12, minute=0, second=0, microsecond=0) - today
    monkeypatch.setattr(timezone, "now", lambda: real() + ahead)


@dataclass(frozen=True)
class People:
    """The personas of every permission test. `outsider` is an employee without team or grant."""

    employee: object
    curator: object
    auditor: object
    administrator: object
    outsider: object


PASSWORD = "correct horse battery"


@lru_cache(maxsize=1)
def _hashed() -> str:
    """Every persona's password, hashed once: the hash is slow on purpose."""
    from django.contrib.auth.hashers import make_password

    return make_password(PASSWORD)


@pytest.fixture
def people(db) -> People:
    from assistant.accounts.models import User

    def person(role: str, name: str | None = None) -> User:
        name = name or role
        return User.objects.create(email=f"{name}@company.example", password=_hashed(), role=role, name=name.title())

    return People(
        employee=person("employee"),
        curator=person("curator"),
        auditor=person("auditor"),
        administrator=person("administrator"),
        outsider=person("employee", "outsider"),
    )
