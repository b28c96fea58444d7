"""`make up`: everything on this machine, in the foreground, until Ctrl-C.

Checks first and says in one sentence what is wrong; prepares database and static files; starts the supervisor; waits
until a question can be answered; on the first run loads the demo company and prints its sign-ins once.
"""

from __future__ import annotations

import http.client
import io
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections

from assistant import health
from assistant.checks import refuse_unsafe_start
from assistant.demo import company

from . import demo_company, processes

MINIMUM_FREE_BYTES = 1 << 30
SUPERVISE = str(Path(__file__).with_name("supervise.py"))


class CannotStart(RuntimeError):
    """One sentence for the person at the terminal."""


class _Stopped(Exception):
    pass


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a terminal program


def check(host: str, port: int) -> None:
    """Raises CannotStart when the port is taken, the disk is full or the data directory cannot be written."""
    try:
        for directory in (
            settings.DATA_DIR,
            settings.RUN_DIR,
            settings.REDIS_SOCKET.parent,
            settings.DATA_DIR / "redis",
        ):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"{settings.DATA_DIR} cannot be written: {error.strerror}. Set ASSISTANT_DATA_DIR."
        ) from error
    free = shutil.disk_usage(settings.DATA_DIR).free
    if free < MINIMUM_FREE_BYTES:
        raise CannotStart(f"Only {free / 2**20:.0f} MiB are free where {settings.DATA_DIR} lies; 1 GiB is needed.")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} on {host} is taken or may not be used ({error.strerror}); "
                f"stop what uses it, or choose another: make up PORT={port + 1}"
            ) from error

    try:
        refuse_unsafe_start()
    except ImproperlyConfigured as error:
        raise CannotStart(str(error)) from error


def run(*, host: str, port: int) -> int:
    """Start, wait, serve, stop. Returns the exit status."""
    check(host, port)
    say("Preparing the database …")
    call_command("migrate", interactive=False, verbosity=0)
    call_command("vault", "seal", stdout=io.StringIO())  # originals from before the vault; nothing to do afterwards
    call_command("collectstatic", interactive=False, verbosity=0)
    connections.close_all()
    install_model()
    configuration = processes.write_configuration(processes.all_processes(host=host, port=port))
    supervisor = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", SUPERVISE, "-n", "-c", str(configuration)],
        start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        raise _Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        _wait_until_ready(supervisor, host, port)
        passwords = demo_company.load(say) if demo_company.wanted() else {}
        _wait_for_documents(supervisor)
        _announce(host, port, passwords)
        return supervisor.wait()
    except _Stopped:
        say("\nStopping …")
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _end(supervisor)


def install_model() -> None:
    """MODEL=OWNER/NAME: have that model pulled, checked, quantized and activated before anything starts, in a process
    of its own that gives its memory back. A name without a slash is an installed model and the workers' business.

    Raises CannotStart.
    """
    if "/" not in settings.MODEL:
        return
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "models", "install", settings.MODEL]
    if settings.REVISION:
        command += ["--revision", settings.REVISION]
    if settings.MODEL_FILE:
        command += ["--file", settings.MODEL_FILE]
    if subprocess.run(command, check=False).returncode:  # noqa: S603
        raise CannotStart(
            f"{settings.MODEL} could not be installed (see above). Without a model: make up; answers are quotations."
        )


def _end(supervisor: subprocess.Popen[bytes]) -> None:
    if supervisor.poll() is None:
        supervisor.terminate()
        try:
            supervisor.wait(timeout=45)
        except subprocess.TimeoutExpired:
            supervisor.kill()


def _alive(supervisor: subprocess.Popen[bytes]) -> None:
    if supervisor.poll() is not None:
        raise CannotStart(f"The supervisor ended; see {settings.DATA_DIR / 'logs' / 'supervisor.log'}.")


def _wait_until_ready(supervisor: subprocess.Popen[bytes], host: str, port: int, *, seconds: float = 300) -> None:
    """Until every part reports ready. Names what is being waited for, once."""
    deadline = time.monotonic() + seconds
    told: set[str] = set()
    while True:
        _alive(supervisor)
        down = [part for part in [*health.report(), _web(host, port)] if not part.ok]
        if not down:
            return
        for part in down:
            if part.name not in told:
                told.add(part.name)
                say(f"Starting {part.name} …")
        if time.monotonic() > deadline:
            words = " ".join(part.words for part in down)
            raise CannotStart(f"Not ready after {seconds:.0f} s: {words} Logs: {settings.DATA_DIR / 'logs'}.")
        time.sleep(0.3)


def _web(host: str, port: int) -> health.Part:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        status = connection.getresponse().status
    except OSError as error:
        return health.Part("web", False, f"The web process does not answer: {error}.")
    finally:
        connection.close()
    return health.Part("web", status == 200, f"The web process answers {status}.")


def _wait_for_documents(supervisor: subprocess.Popen[bytes]) -> None:
    """Show how many documents are still being read: one line that changes, or every tenth where that cannot be."""
    terminal = sys.stdout.isatty()
    told = -1
    while True:
        _alive(supervisor)
        waiting, total = demo_company.remaining()
        done = total - waiting
        if terminal and total:
            print(f"\rReading documents: {done} of {total} done.", end="" if waiting else "\n", flush=True)  # noqa: T201
        elif waiting and done // 10 != told:
            told = done // 10
            say(f"Reading documents: {done} of {total} done.")
        if waiting == 0:
            return
        time.sleep(0.5)


def _announce(host: str, port: int, passwords: dict[str, str]) -> None:
    say(f"\nReady: http://{host}:{port}")
    if passwords:
        say("\nSign in as one of these (shown once; only hashes are kept):")
        width = max(len(email) for email in passwords)
        for person in company.PEOPLE:
            if person.email in passwords:
                say(f"  {person.email:<{width}}  {passwords[person.email]}  {person.role}")
    say("\nCtrl-C stops everything.")
