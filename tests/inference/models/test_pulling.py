import pytest

from inference.errors import EngineUnavailable, ModelCorrupt, ModelNotFound
from inference.store.pulling import pull

from .hub import REVISION, running_hub


@pytest.fixture
def hub(qwen2_folder):
    with running_hub(qwen2_folder) as found:
        yield found


def fetch(hub, into, **options):
    allowed = []
    settings = {"revision": REVISION, "into": into, "hub": hub.url, "allow": allowed.append} | options
    pull("acme/tiny", **settings)
    return allowed


def test_files_arrive_as_they_are_and_every_host_is_announced(hub, tmp_path):
    assert set(fetch(hub, tmp_path)) == {"127.0.0.1"}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == hub.files


def test_what_could_run_code_is_not_even_asked_for(hub, tmp_path):
    hub.files |= {"modeling_tiny.py": b"x", "pytorch_model.bin": b"x", ".gitattributes": b"x"}
    fetch(hub, tmp_path)
    assert not any(path.endswith((".py", ".bin", ".gitattributes")) for path in hub.asked)


def test_one_wrong_bit_on_the_way_is_refused_with_the_files_name(hub, tmp_path):
    hub.damage = "model.safetensors"
    with pytest.raises(ModelCorrupt, match=r"model\.safetensors differs") as caught:
        fetch(hub, tmp_path)
    assert caught.value.file == "model.safetensors"


def test_another_revision_than_asked_for_is_refused(hub, tmp_path):
    hub.sha = "f" * 40
    with pytest.raises(ModelCorrupt, match="another revision"):
        fetch(hub, tmp_path)


def test_a_host_that_is_not_allowed_is_not_spoken_to(hub, tmp_path):
    def refuse(host: str) -> None:
        raise PermissionError(host)

    with pytest.raises(PermissionError):
        fetch(hub, tmp_path, allow=refuse)
    assert hub.asked == []


def test_a_redirect_to_an_unprotected_address_is_refused(hub, tmp_path):
    hub.redirect = "http://elsewhere.example"
    with pytest.raises(ValueError, match="https only"):
        fetch(hub, tmp_path)


@pytest.mark.parametrize("revision", ["main", "", "0123456"])
def test_only_full_commits_are_fetched(hub, tmp_path, revision):
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        fetch(hub, tmp_path, revision=revision)


def test_absent_models_and_silent_hubs_are_typed_errors(hub, tmp_path):
    with pytest.raises(ModelNotFound):
        pull("acme/other", revision=REVISION, into=tmp_path, hub=hub.url, allow=lambda host: None)
    with pytest.raises(EngineUnavailable):
        pull("acme/tiny", revision=REVISION, into=tmp_path, hub="http://127.0.0.1:9", allow=lambda host: None)
