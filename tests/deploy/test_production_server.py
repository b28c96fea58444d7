"""The web server as `deploy/` starts it: gunicorn with the example environment, asked as checks and nginx ask."""

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.conf import settings
from django.db import connection

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
pytestmark = pytest.mark.django_db  # on PostgreSQL the tests' own database; nothing is written to it
WEB = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]["web"]


@pytest.fixture(scope="module")
def port(django_db_setup, tmp_path_factory):
    """Where it listens. Its secrets are generated, its database is empty, and there is no Redis."""
    listening = socket.create_server(("127.0.0.1", 0))  # handed over, so that nobody else takes the port meanwhile
    number = listening.getsockname()[1]
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / "assistant.env.example").read_text(), re.MULTILINE))
    data = tmp_path_factory.mktemp("data")
    data.chmod(0o700)
    if connection.vendor == "sqlite":
        url = f"sqlite:///{data / 'assistant.sqlite3'}"
    else:
        url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}},
        **example,
        "PROXY_ADDRESSES": WEB["environment"]["PROXY_ADDRESSES"],
        "ASSISTANT_DATA_DIR": str(data),
        "DATABASE_URL": url,
        "BIND": f"fd://{listening.fileno()}",
        "WEB_PROCESSES": "1",
    }
    if connection.vendor == "sqlite":
        migrate = [sys.executable, "manage.py", "migrate", "--noinput", "-v0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True, timeout=240)
    command = [*(sys.executable, "-m", "gunicorn"), "assistant.asgi:application"]
    command += ["--config", "assistant/runtime/gunicorn.py"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[listening.fileno()])
    listening.close()
    try:
        until = time.monotonic() + 120
        while _health_check(number) != 0:
            assert server.poll() is None, "gunicorn ended"
            assert time.monotonic() < until, "the health check of compose.yml never passed"
            time.sleep(0.2)
        yield number
    finally:
        server.terminate()
        server.wait(60)


def _health_check(port: int) -> int:
    command = [word.replace(":8000/", f":{port}/") for word in WEB["healthcheck"]["test"][1:]]
    assert command[0] == "python"
    return subprocess.run([sys.executable, *command[1:]], stderr=subprocess.DEVNULL, timeout=120).returncode


def _status(port: int, path: str, **headers: str) -> int:
    """Of a request from an address that is not gunicorn's own default for a proxy, as nginx's container is not."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=("127.0.0.2", 0))
    try:
        client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return client.getresponse().status
    finally:
        client.close()


def test_health_is_told_to_this_machine_by_its_own_name_without_tls(port):
    assert _status(port, "/healthz") == 200


def test_people_s_addresses_come_through_the_proxy(port):
    """/metrics is for addresses of METRICS_CLIENTS only: it shows which address the product sees."""
    assert _status(port, "/metrics") == 200
    assert _status(port, "/metrics", X_Forwarded_For="203.0.113.9") == 404
