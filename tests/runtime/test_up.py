import configparser
import shutil
import socket
import stat
import subprocess
import sys
import time

import pytest

from assistant.runtime import processes, up


def test_taken_port_is_said_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(up.CannotStart, match=f"Port {port} .* choose another: make up PORT={port + 1}"):
            up.check("127.0.0.1", port)


def test_full_disk_is_said_in_one_sentence(monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=5 << 20)
    monkeypatch.setattr(up.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(up.CannotStart, match="Only 5 MiB are free"):
        up.check("127.0.0.1", 0)


def test_supervisor_configuration_is_private_and_complete():
    path = processes.write_configuration(processes.all_processes(host="127.0.0.1", port=8123))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    parser = configparser.RawConfigParser()
    parser.read(path)
    programs = {section.partition(":")[2] for section in parser.sections() if section.startswith("program:")}
    assert {"web", "answers", "ingestion", "beat"} <= programs
    assert all(parser[f"program:{name}"]["autorestart"] == "true" for name in programs)
    assert "8123" in parser["program:web"]["command"]


def test_redis_elsewhere_is_not_started_here(settings):
    settings.REDIS_URL = "redis://:secret@127.0.0.1:6379/0"
    assert "redis" not in {process.name for process in processes.all_processes(host="127.0.0.1", port=1)}


def test_supervisor_outlives_a_disk_on_which_nothing_can_be_written(tmp_path):
    """Every log and the supervisor's own output lie on /dev/full; a process that ends is started again all the same."""
    lives = tmp_path / "lives"
    program = f"import sys; open({str(lives)!r}, 'a').write('x'); print('a line', flush=True); sys.exit(1)"
    (tmp_path / "program.py").write_text(program)
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(
        "[supervisord]\nnodaemon = true\nsilent = true\nlogfile = /dev/full\nlogfile_maxbytes = 0\n"
        f"pidfile = {tmp_path / 'pid'}\n\n"
        f"[program:talker]\ncommand = {sys.executable} {tmp_path / 'program.py'}\nstartsecs = 0\nautorestart = true\n"
        "stdout_logfile = /dev/full\nstdout_logfile_maxbytes = 0\nredirect_stderr = true\n"
    )
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-P", up.SUPERVISE, "-n", "-c", str(configuration)]
        supervisor = subprocess.Popen(command, stdout=full, stderr=full)
        try:
            deadline = time.monotonic() + 60
            while supervisor.poll() is None and time.monotonic() < deadline:
                if lives.exists() and len(lives.read_text()) >= 3:
                    break
                time.sleep(0.1)
            assert supervisor.poll() is None
            assert len(lives.read_text()) >= 3
        finally:
            supervisor.kill()
            supervisor.wait()
