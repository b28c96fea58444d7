"""A private PostgreSQL server for the tests: a fresh cluster on a Unix socket, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote


class PostgresMissing(RuntimeError):
    """No PostgreSQL server binaries here."""


def binaries() -> Path:
    """The directory of initdb and postgres. Raises PostgresMissing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    raise PostgresMissing("no server found (Debian: apt install postgresql)")


@contextmanager
def private_postgres(*, durable: bool = False) -> Iterator[str]:
    """Yields a DATABASE_URL. Only a `durable` server waits for the disk."""
    with restartable_postgres(durable=durable) as (url, _):
        yield url


@contextmanager
def restartable_postgres(*, durable: bool = False) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields a DATABASE_URL and what restarts the server at once, as after a crash. Root may not run PostgreSQL, so
    there it runs as the user `postgres`."""
    bin_directory = binaries()
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    owner = "postgres" if as_user else None
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if owner:
            shutil.chown(directory, owner)

        def call(*command: str) -> None:
            subprocess.run(
                [*as_user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60
            )

        cluster = directory / "data"
        call(
            str(bin_directory / "initdb"),
            "-D",
            str(cluster),
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        )
        speed = "" if durable else "-c fsync=off -c synchronous_commit=off"
        options = f"-k {directory} -c listen_addresses='' {speed} -c max_connections=200"
        control = str(bin_directory / "pg_ctl")
        call(control, "-D", str(cluster), "-o", options, "-l", str(directory / "log"), "-w", "start")
        try:
            yield (
                f"postgres://postgres@{quote(str(directory), safe='')}/postgres",
                lambda: call(control, "-D", str(cluster), "-o", options, "-m", "immediate", "-w", "restart"),
            )
        finally:
            call(control, "-D", str(cluster), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
