"""The product as `manage.py up` runs it, in a data directory of its own, with the processes in reach of a signal.

Knows: processes and REST. Does not know: which faults are played (`faults`) or what must hold afterwards (`verdict`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil

ROOT = Path(__file__).parents[2]
KINDS = {
    "redis": "redis-server",
    "answers": "--queues answers",
    "ingestion": "--queues ingestion",
    "beat": "assistant beat",
    "web": "uvicorn",
}
ADMINISTRATOR = "admin@company.example"


class Product:
    """`with Product(directory) as product:` is up and has an administrator with a token, and one collection."""

    def __init__(self, data: Path, *, database_url: str = "", settings: dict[str, str] | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.data = data
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        self.environment = {
            **kept,
            "ASSISTANT_DATA_DIR": str(data),
            "DEMO": "false",
            "SITE_URL": self.address,
            "API_RATE": "",
            "TOKEN_RATE": "",
            "QUESTIONS_PER_DAY": "1000000",
            "ANSWER_SLOTS": "2",
            "INGESTION_PROCESSES": "1",
            "OMP_NUM_THREADS": "1",
            "DJANGO_SETTINGS_MODULE": "assistant.settings",
            **(settings or {}),
        }
        if database_url:
            self.environment["DATABASE_URL"] = database_url
        self.token = ""
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Product:
        self.start()
        self.manage("create_user", ADMINISTRATOR, "--role", "administrator")
        self.token = self.manage("create_token", ADMINISTRATOR).strip()
        with self.client() as client:
            client.post("/api/v1/collections/", json={"slug": "papers", "name": "Papers"}).raise_for_status()
            grant = {"principal": "everyone", "access": "reader"}
            client.post("/api/v1/collections/papers/grants/", json=grant).raise_for_status()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, seconds: float = 300) -> None:
        with (self.data / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while b"Ready: " not in (self.data / "up.log").read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.data / "up.log").read_text())
            time.sleep(0.3)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(90)

    def manage(self, *arguments: str, check: bool = True, told: str | None = None) -> str:
        """What a command prints; `told` is its standard input, which has no limit of length."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=check,
            input=told,
            capture_output=True,
            text=True,
            timeout=180,
        )
        return done.stdout

    def wait_for_documents(self, *, seconds: float = 120) -> None:
        """Until every uploaded document has been read."""
        waiting = (
            "from assistant.documents.models import DocumentVersion as V; "
            "print(V.objects.filter(status__in=['queued', 'processing']).count())"
        )
        deadline = time.monotonic() + seconds
        while self.python(waiting):
            if time.monotonic() > deadline:
                raise RuntimeError("documents are still being read")
            time.sleep(0.5)

    def python(self, code: str) -> object:
        """What the code prints as JSON on its last line, run inside the product."""
        return json.loads(self.manage("shell", "-v0", told=code).strip().splitlines()[-1])

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=60)

    def processes(self, kind: str) -> list[psutil.Process]:
        """The running processes of a kind; children too, the parent first."""
        assert self.process is not None
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if KINDS[kind] in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found
