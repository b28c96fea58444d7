"""The deployment files say what the product does, as far as that can be checked without a container engine."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from assistant.runtime import processes

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yml").read_text())


def _settings_names() -> set[str]:
    source = (ROOT / "assistant" / "settings.py").read_text()
    names = set(re.findall(r'env(?:_bool|_choice|_int|_list|_or_file|_secret|_share)?\(\s*"([A-Z_]+)"', source))
    return names | {f"{name}_FILE" for name in re.findall(r'env_(?:or_file|secret)\("([A-Z_]+)"', source)}


def _server_names() -> set[str]:
    return set(re.findall(r'environ.get\("([A-Z_]+)"', (ROOT / "assistant" / "runtime" / "gunicorn.py").read_text()))


def test_example_environment_names_only_settings_that_exist():
    lines = (DEPLOY / "assistant.env.example").read_text().splitlines()
    named = {match.group(1) for line in lines if (match := re.match(r"#?([A-Z_]+)=", line))}
    assert named
    assert named <= _settings_names() | _server_names()


def test_example_environment_names_every_setting():
    text = (DEPLOY / "assistant.env.example").read_text()
    missing = {name for name in _settings_names() if not re.search(rf"^#?{name}(_FILE)?=", text, re.MULTILINE)}
    missing = {name for name in missing if not name.endswith("_FILE")} - {"DEBUG", "ASSISTANT_WORKER"}
    assert missing == set()


def test_only_nginx_touches_a_network_with_a_way_out(compose):
    assert compose["networks"]["internal"]["internal"] is True
    for name, service in compose["services"].items():
        outside = set(service["networks"]) - {"internal"}
        assert not outside or name == "nginx"
        assert ("ports" in service) == (name == "nginx")


def test_product_containers_are_read_only_and_without_privileges(compose):
    for name in ("web", "answers", "ingestion", "beat", "migrate"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_no_secret_is_written_in_the_composition(compose):
    for service in compose["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|KEY|_URL", name):
                assert name.endswith("_FILE"), name
                assert value.startswith("/run/secrets/")


@pytest.mark.parametrize("queue", ["answers", "ingestion"])
def test_workers_run_the_same_command_everywhere(compose, queue):
    local = next(process for process in processes.all_processes(host="127.0.0.1", port=1) if process.name == queue)
    wanted = _options(local.command)
    assert _options(compose["services"][queue]["command"]) == wanted
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "systemd" / f"assistant-{queue}.service")
    assert _options(unit["Service"]["ExecStart"].replace("%%", "%").split()) == wanted


def _options(command) -> set[str]:
    """The worker's meaning: queue, pool and the options after them, without paths and log levels."""
    words = list(command)[list(command).index("worker") + 1 :]
    pairs = set()
    while words:
        word = words.pop(0)
        pairs.add(f"{word} {words.pop(0)}" if words and not words[0].startswith("--") else word)
    return {pair for pair in pairs if not pair.startswith("--loglevel")}


def test_image_runs_as_an_ordinary_user_and_offline():
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER assistant$", text, re.MULTILINE)
    assert "HF_HUB_OFFLINE=1" in text
    assert "TRANSFORMERS_OFFLINE=1" in text
    for path in re.findall(r"^COPY (?!--from)(?:--chown=\S+ )?(\S+) ", text, re.MULTILINE):
        assert (ROOT / path).exists(), path


def test_systemd_units_are_sound():
    units = sorted((DEPLOY / "systemd").glob("*.service"))
    assert {unit.stem for unit in units} == {f"assistant-{name}" for name in ("web", "answers", "ingestion", "beat")}
    for unit in units:
        text = unit.read_text()
        for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "IPAddressDeny=any", "User=assistant"):
            assert line in text, (unit.name, line)


def test_nginx_streams_are_not_buffered_and_health_stays_inside():
    text = (DEPLOY / "nginx.conf").read_text()
    assert "proxy_buffering off" in text
    assert re.search(r"location ~ \^/\(healthz\|readyz\|metrics\)\$ \{ return 404; \}", text)
    limit = int(re.search(r"client_max_body_size (\d+)m", text).group(1))
    assert limit * 1024 * 1024 > settings.MAX_UPLOAD_BYTES
    assert text.count("{") == text.count("}")


def test_scripts_parse():
    for script in [DEPLOY / "backup.sh", ROOT / ".ci" / "run"]:
        subprocess.run([shutil.which("bash"), "-n", str(script)], check=True)


def test_requirements_are_pinned_and_complete():
    lines = [line for line in (DEPLOY / "requirements.txt").read_text().splitlines() if line and line[0] not in "#-"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+(\[[a-z,]+\])?==[^ ]+", line) for line in lines)
    pinned = {re.split(r"[\[=]", line)[0].lower().replace("_", "-") for line in lines}
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {re.split(r"[\[=<>]", name)[0].lower().replace("_", "-") for name in project["dependencies"]}
    assert direct <= pinned
    assert "torch" in pinned
    assert "kernels" not in pinned
