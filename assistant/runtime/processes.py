"""The processes of one machine and the supervisor that keeps them running (supervisord, a well-kept library).

Knows: command lines. Does not know: what the processes do. deploy/ holds the same commands as systemd units.
"""

from __future__ import annotations

import configparser
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from . import private_redis

PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Process:
    """One supervised program. `grace` seconds are given to finish after SIGTERM."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    priority: int = 100
    grace: int = 10


def worker(queue: str, *, pool: str, processes_extra: tuple[str, ...] = ()) -> Process:
    """A Celery worker for one queue. `answers` has threads (one model, one replica); `ingestion` has processes; how
    many says CELERY_WORKER_CONCURRENCY in the settings."""
    command = (
        *(PYTHON, "-m", "celery", "-A", "assistant", "worker"),
        *("--queues", queue, "--pool", pool),
        *("--hostname", f"{queue}@%h", "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
        *processes_extra,
    )
    return Process(queue, command, (("ASSISTANT_WORKER", queue),), priority=20, grace=20)


def all_processes(*, host: str, port: int) -> list[Process]:
    """Everything `make up` runs. Redis is left out when REDIS_URL names one that is already there."""
    found = []
    if uses_private_redis():
        command = private_redis.arguments(directory=settings.DATA_DIR / "redis", socket=settings.REDIS_SOCKET)
        found.append(Process("redis", tuple(command), priority=1))
    found += [
        worker("answers", pool="threads"),
        worker("ingestion", pool="prefork", processes_extra=("--max-memory-per-child", "1500000")),
        Process(
            "beat",
            (PYTHON, "-m", "celery", "-A", "assistant", "beat", "--loglevel", "WARNING", "--pidfile="),
            priority=30,
        ),
        Process(
            "web",
            (
                *(PYTHON, "-m", "uvicorn", "assistant.asgi:application", "--host", host, "--port", str(port)),
                *("--lifespan", "off", "--no-access-log", "--log-level", "warning", "--no-server-header"),
                *("--timeout-graceful-shutdown", "5"),
            ),
            priority=40,
        ),
    ]
    return found


def uses_private_redis() -> bool:
    return settings.REDIS_URL.startswith(f"unix://{settings.REDIS_SOCKET}")


def write_configuration(processes: list[Process]) -> Path:
    """supervisord's configuration for these processes, under the run directory (mode 0600)."""
    logs = settings.DATA_DIR / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.RUN_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    parser = configparser.RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": str(logs / "supervisor.log"),
        "logfile_maxbytes": "10MB",
        "loglevel": "info",
        "pidfile": str(settings.RUN_DIR / "supervisord.pid"),
        "umask": "077",
        "childlogdir": str(logs),
        "minfds": "1024",
    }
    for process in processes:
        parser[f"program:{process.name}"] = {
            "command": " ".join(_quoted(part) for part in process.command),
            "directory": str(settings.BASE_DIR).replace("%", "%%"),
            "environment": ",".join(f'{name}="{value}"' for name, value in process.environment),
            "priority": str(process.priority),
            "autorestart": "true",
            "startsecs": "2",
            "startretries": "100",
            "stopsignal": "TERM",
            "stopwaitsecs": str(process.grace),
            "stopasgroup": "false",
            "killasgroup": "true",
            "stdout_logfile": str(logs / f"{process.name}.log").replace("%", "%%"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "3",
            "redirect_stderr": "true",
        }
    path = settings.RUN_DIR / "supervisord.conf"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        parser.write(file)
    return path


def _quoted(part: str) -> str:
    """One word of a supervisord command: spaces quoted, its % expansion escaped."""
    part = part.replace("%", "%%")
    return f'"{part}"' if (not part or " " in part) else part
