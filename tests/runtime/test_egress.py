"""The guard is tested in processes of its own: an audit hook cannot be taken back."""

import subprocess
import sys

import pytest

from assistant import egress
from assistant.audit import refusals
from assistant.audit.models import AuditEvent
from assistant.runtime import diagnosis

PROGRAM = """
import socket, sys
from assistant import egress
egress.install({allowed!r})
{code}
"""


def run(code: str, allowed: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    program = PROGRAM.format(code=code, allowed=allowed)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


OUTSIDE = [
    "socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "socket.create_connection(('2001:db8::1', 80), timeout=1)",
    "socket.getaddrinfo('huggingface.example', 443)",
    "socket.gethostbyname('telemetry.example')",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=1)",
    "import httpx2; httpx2.get('https://updates.example/')",
]


@pytest.mark.parametrize("code", OUTSIDE)
def test_connection_outside_is_refused(code):
    done = run(code)
    assert done.returncode != 0
    assert "Connections outside are refused" in done.stderr


def test_loopback_and_unix_sockets_work(tmp_path):
    code = f"""
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=5)
unix = socket.socket(socket.AF_UNIX); unix.bind({str(tmp_path / "s")!r}); unix.listen()
client = socket.socket(socket.AF_UNIX); client.connect({str(tmp_path / "s")!r})
socket.getaddrinfo("localhost", 80)
print("fine", egress.refused())
"""
    done = run(code)
    assert done.stdout.strip() == "fine []", done.stderr


def test_named_services_are_allowed_and_others_still_refused():
    code = """
try:
    socket.create_connection(("192.0.2.7", 5432), timeout=0.2)
except egress.EgressRefused:
    raise SystemExit("an allowed address was refused")
except OSError:
    pass
try:
    socket.create_connection(("192.0.2.8", 5432), timeout=0.2)
except egress.EgressRefused:
    print(egress.refused())
"""
    done = run(code, ("192.0.2.7",))
    assert done.stdout.strip() == "['192.0.2.8']", done.stderr


def test_guard_is_in_force_in_the_product():
    from assistant import egress

    assert egress.in_force()


@pytest.mark.django_db
def test_what_a_process_refused_becomes_an_event_and_is_shown(monkeypatch, tmp_path, people, client):
    path = tmp_path / "run" / "refused.jsonl"
    program = f"""
import socket
from pathlib import Path
from assistant import egress
egress.install([], record=Path({str(path)!r}))
socket.create_connection(("192.0.2.9", 443), timeout=1)
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60).returncode != 0
    assert path.stat().st_mode & 0o077 == 0
    with path.open("a") as file:
        file.write("half a li")
    monkeypatch.setattr(egress, "_record", path)
    assert refusals.record_refusals() == 1
    assert refusals.record_refusals() == 0
    event = AuditEvent.objects.get(action="egress.refused")
    assert event.detail["target"] == "192.0.2.9"
    assert event.outcome == "refused"
    client.force_login(people.administrator)
    assert "192.0.2.9" in client.get("/health/").content.decode()
    shown = {finding.id: finding for finding in diagnosis.diagnose()["Privacy"]}
    assert shown["privacy.refusals"].level == "warning"
    assert {shown[f"privacy.{name}"].level for name in ("guard", "offline", "keys", "originals")} == {"good"}
