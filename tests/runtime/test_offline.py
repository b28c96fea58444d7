"""The whole product in a network namespace without a route: it starts, reads the demo company's fifty documents and
answers a hundred questions, and every system call that could reach another machine is written down.

    python -m pytest tests/runtime/test_offline.py -m long          (Linux with unprivileged namespaces and strace)
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = "connect,sendto,sendmsg,sendmmsg"
INSIDE = """
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path
root, data, port = sys.argv[1:4]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
up = subprocess.Popen(
    ["strace", "-f", "-qq", "-e", f"trace={CALLS}", "-o", f"{data}/trace.log",
     sys.executable, "manage.py", "up", "--port", port],
    cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, "ASSISTANT_DATA_DIR": data})
try:
    for line in up.stdout:
        print(line, end="", file=sys.stderr)
        if line.startswith("Ready"):
            break
    else:
        raise SystemExit("it did not start")
    threading.Thread(target=up.stdout.read, daemon=True).start()
    done = subprocess.run([sys.executable, "manage.py", "evaluate", "assistant/demo/questions.jsonl", "--json"],
        cwd=root, capture_output=True, text=True, env={**os.environ, "ASSISTANT_DATA_DIR": data})
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    print(json.dumps({"evaluated": done.stdout.strip().splitlines()[-1:], "status": done.returncode,
        "said": done.stderr[-2000:], "routes": routes,
        "interfaces": [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]}))
finally:
    up.send_signal(signal.SIGINT)
    for child in Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGINT)
    try:
        up.wait(90)
    except subprocess.TimeoutExpired:
        up.kill()
"""
# What a traced address may be: a Unix socket, the kernel's own, or this machine.
HERE = re.compile(
    r"sa_family=AF_UNIX|sa_family=AF_NETLINK|sa_family=AF_UNSPEC"
    r'|sin_addr=inet_addr\("127\.|inet_pton\(AF_INET6, "::1"|inet_pton\(AF_INET6, "::ffff:127\.'
)


def elsewhere(trace: Path) -> list[str]:
    """Calls with an address that is not on this machine."""
    with trace.open(encoding="utf-8", errors="replace") as lines:
        return [line.strip() for line in lines if "sa_family=" in line and not HERE.search(line)]


def test_the_reader_of_traces_knows_here_from_elsewhere(tmp_path):
    trace = tmp_path / "trace"
    trace.write_text(
        '1 connect(3, {sa_family=AF_UNIX, sun_path="/tmp/x"}, 110) = 0\n'
        '1 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0\n'
        '1 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16) = -1\n'
        '1 sendto(3, "x", 1, 0, {sa_family=AF_INET6, inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28) = -1\n'
        '1 sendto(3, "x", 1, 0, NULL, 0) = 1\n'
    )
    assert [line.split("(")[0] for line in elsewhere(trace)] == ["1 connect", "1 sendto"]


def can_isolate() -> bool:
    if not all(map(shutil.which, ("unshare", "ip", "strace"))):
        return False
    done = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_starts_reads_and_answers_without_a_route_and_speaks_to_nobody_else(tmp_path):
    if not can_isolate():
        pytest.skip("needs unprivileged network namespaces, iproute2 and strace")
    tmp_path.chmod(0o700)
    environment = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
    program = INSIDE.replace("{CALLS}", CALLS)
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", program, str(ROOT), str(tmp_path), "8907"],
        capture_output=True,
        text=True,
        timeout=3500,
        env={**environment, "DEMO": "true"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    assert facts["routes"] == []
    assert facts["interfaces"] == ["lo"]
    assert facts["status"] == 0, facts["said"]
    asked = json.loads(facts["evaluated"][0])
    print(f"asked: {asked}", file=sys.stderr)
    with (tmp_path / "trace.log").open(errors="replace") as lines:
        assert sum("connect(" in line for line in lines) > 50
    assert elsewhere(tmp_path / "trace.log") == []
    assert not (tmp_path / "run" / "egress-refused.jsonl").exists()
