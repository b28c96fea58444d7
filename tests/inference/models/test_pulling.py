import pytest

from inference.errors import DiskFull, EngineUnavailable, ModelCorrupt, ModelNotFound
from inference.store import gguf
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


def test_a_model_larger_than_the_disk_is_refused_before_its_first_byte(hub, tmp_path):
    hub.sizes["model.safetensors"] = 2**60
    with pytest.raises(DiskFull, match=r"acme/tiny takes 1073741824\.0 GiB; .* GiB are free at "):
        fetch(hub, tmp_path)
    assert not any("/resolve/" in path for path in hub.asked)


def test_a_machine_without_a_hub_may_not_fetch(tmp_path):
    with pytest.raises(ValueError, match="may not fetch models"):
        pull("acme/tiny", revision=REVISION, into=tmp_path, hub="", allow=lambda host: None)


PARTS = ["q8/tiny-q8_0-00001-of-00002.gguf", "q8/tiny-q8_0-00002-of-00002.gguf"]


@pytest.fixture
def quantized_hub(hub):
    """A repository of three GGUF models, one of them in two parts, and the tokenizer's files."""
    del hub.files["model.safetensors"]
    hub.files |= {name: name.encode() for name in (*PARTS, "tiny-q4_0.gguf", "tiny-f16.gguf")}
    return hub


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("tiny-q4_0.gguf", {"tiny-q4_0.gguf"}),
        (PARTS[0], set(PARTS)),
        (PARTS[1], set(PARTS)),
        ("tiny-q8_0-00001-of-00002.gguf", set(PARTS)),
    ],
)
def test_of_several_gguf_models_the_named_one_is_fetched_with_all_its_parts(named, wanted, quantized_hub, tmp_path):
    fetch(quantized_hub, tmp_path, file=named)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in found if name.endswith(".gguf")} == wanted
    assert "config.json" in found


@pytest.mark.parametrize(("named", "words"), [("", "holds 3 GGUF models"), ("tiny-q2_k.gguf", "no GGUF file named")])
def test_which_gguf_models_there_are_is_said_before_any_is_fetched(named, words, quantized_hub, tmp_path):
    with pytest.raises(ModelNotFound, match=words) as caught:
        fetch(quantized_hub, tmp_path, file=named)
    assert caught.value.hint == f"Name one with --file: {PARTS[0]}, tiny-f16.gguf, tiny-q4_0.gguf."
    assert not any("/resolve/" in path for path in quantized_hub.asked)


def test_tensors_go_before_a_copy_of_them_as_gguf_unless_that_is_named(hub, tmp_path):
    hub.files["tiny-q4_0.gguf"] = b"x"
    fetch(hub, tmp_path / "whole")
    fetch(hub, tmp_path / "one", file="tiny-q4_0.gguf")
    weights = {path.name for path in tmp_path.rglob("*") if path.suffix in {".gguf", ".safetensors"}}
    assert weights == {"model.safetensors", "tiny-q4_0.gguf"}
    assert not (tmp_path / "one" / "model.safetensors").exists()


def test_a_gguf_model_is_called_what_its_first_part_is_called():
    assert [gguf.title(name) for name in (PARTS[0], "a/b-Q4_K_M.gguf")] == ["tiny-q8_0", "b-Q4_K_M"]
