import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference.errors import ModelCorrupt, ModelNotFound
from inference.store import ModelStore
from inference.store import store as store_module

FACTS = {"licence": "MIT", "imported_by": "user:1", "revision": "abc"}


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models")


def test_import_records_every_file_and_verifies(store, qwen2_folder):
    manifest = store.import_path(qwen2_folder, name="tiny", **FACTS)
    assert manifest.kind == "safetensors"
    assert manifest.architecture == "qwen2"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {entry.path for entry in manifest.files}
    assert len(manifest.template_sha256) == 64
    assert store.verify("tiny") == manifest
    assert store.names() == ["tiny"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_one_flipped_bit_is_refused_with_the_files_name(store, qwen2_folder, name):
    store.import_path(qwen2_folder, name="tiny", **FACTS)
    path = store.folder("tiny") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=name) as caught:
        store.verify("tiny")
    assert caught.value.file == name


def test_added_and_missing_files_are_found(store, qwen2_folder):
    store.import_path(qwen2_folder, name="tiny", **FACTS)
    (store.folder("tiny") / "extra.json").write_text("{}")
    with pytest.raises(ModelCorrupt, match=r"extra\.json was not there"):
        store.verify("tiny")
    (store.folder("tiny") / "extra.json").unlink()
    (store.folder("tiny") / "tokenizer.json").unlink()
    with pytest.raises(ModelCorrupt, match=r"tokenizer\.json is missing"):
        store.verify("tiny")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling_tiny.py", "weights.pt", "a.pkl", "lib.so"])
def test_files_that_could_run_code_are_refused(store, qwen2_folder, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(qwen2_folder, copy)
    (copy / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelCorrupt, match="can run code") as caught:
        store.import_path(copy, name="tiny", **FACTS)
    assert caught.value.file == name
    assert store.names() == []
    assert not list(store.root.glob(".*")) if store.root.exists() else True


def test_remote_code_in_the_configuration_is_refused(store, qwen2_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(qwen2_folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling.Evil"}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelCorrupt, match="asks to run code"):
        store.import_path(copy, name="tiny", **FACTS)


def test_a_pipe_is_refused_and_never_waited_for(store, qwen2_folder, tmp_path):
    piped = tmp_path / "piped"
    shutil.copytree(qwen2_folder, piped)
    os.mkfifo(piped / "README.md")
    with pytest.raises(ModelCorrupt, match=r"README\.md is no plain file"):
        store.import_path(piped, name="tiny", **FACTS)


@pytest.mark.parametrize(("replace", "error"), [("link", OSError), ("pipe", ModelCorrupt)])
def test_what_takes_a_files_place_after_it_was_chosen_is_not_read(
    store, qwen2_folder, tmp_path, monkeypatch, replace, error
):
    laid, elsewhere = tmp_path / "laid", tmp_path / "elsewhere.json"
    shutil.copytree(qwen2_folder, laid)
    shutil.copy(laid / "config.json", elsewhere)
    choose = store_module.selected

    def chosen(source):
        found = choose(source)
        (laid / "config.json").unlink()
        (laid / "config.json").symlink_to(elsewhere) if replace == "link" else os.mkfifo(laid / "config.json")
        return found

    monkeypatch.setattr(store_module, "selected", chosen)
    with pytest.raises(error):
        store.import_path(laid, name="tiny", **FACTS)
    assert store.names() == []


@pytest.mark.parametrize("change", ["grown", "shrunk"])
def test_a_file_that_changes_while_it_is_copied_is_refused_with_its_name(store, qwen2_folder, tmp_path, change):
    laid = tmp_path / "laid"
    shutil.copytree(qwen2_folder, laid)
    weights, copied = laid / "model.safetensors", []
    size = weights.stat().st_size

    def told(stage, done, total):
        """The first file is copied: whoever lays the model there writes on."""
        copied.append(done)
        os.truncate(weights, size + 2**30 if change == "grown" else size - 1)

    with pytest.raises(ModelCorrupt, match="changed while it was copied") as caught:
        store.import_path(laid, name="tiny", told=told, **FACTS)
    assert caught.value.file == "model.safetensors"
    assert copied[-1] <= sum(
        path.stat().st_size for path in qwen2_folder.iterdir()
    )  # it stopped at the size seen first
    assert store.names() == []
    assert not list(store.root.glob(".*"))


def test_two_imports_of_one_name_at_once_never_mix_their_files(store, qwen2_folder, tmp_path):
    """Both are in the middle of copying when the other begins; the first to end is installed as it was."""
    number = 3
    folders = []
    for at in range(number):
        laid = tmp_path / f"laid{at}"
        shutil.copytree(qwen2_folder, laid)
        (laid / "README.md").write_text(f"Copy {at}.")
        (laid / f"only{at}.json").write_text("{}")
        folders.append(laid)
    barrier = threading.Barrier(number)

    def bring(laid):
        waited = []

        def told(stage, done, total):
            if not waited:
                waited.append(barrier.wait(60))

        return store.import_path(laid, name="tiny", told=told, **FACTS)

    with ThreadPoolExecutor(number) as pool:
        ends = [pool.submit(bring, laid) for laid in folders]
    faults = [end.exception() for end in ends]
    assert [type(fault) for fault in faults if fault] == [FileExistsError] * (number - 1)
    won = faults.index(None)
    assert store.verify("tiny").source == f"laid{won}"
    assert (store.folder("tiny") / "README.md").read_text() == f"Copy {won}."
    assert [path.name for path in store.folder("tiny").glob("only*")] == [f"only{won}.json"]
    assert [path.name for path in store.root.iterdir()] == ["tiny"]


def test_what_a_killed_process_left_is_taken_away_and_what_is_in_use_is_not(store, qwen2_folder):
    left = store.root / ".other.abc.partial"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")

    def told(stage, done, total):
        assert not left.exists()
        (used,) = store.root.glob(".tiny.*.partial")
        if done == total and stage == "copying":
            store.import_path(qwen2_folder, name="second", **FACTS)
            assert used.is_dir()

    store.import_path(qwen2_folder, name="tiny", told=told, **FACTS)
    assert store.names() == ["second", "tiny"]
    store.verify("tiny")


def test_links_truncated_weights_and_wrong_gguf_are_refused(store, qwen2_folder, tmp_path):
    linked = tmp_path / "linked"
    shutil.copytree(qwen2_folder, linked)
    (linked / "README.md").symlink_to("/etc/hostname")
    with pytest.raises(ModelCorrupt, match="is a link"):
        store.import_path(linked, name="tiny", **FACTS)
    short = tmp_path / "short"
    shutil.copytree(qwen2_folder, short)
    weights = short / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelCorrupt, match="not a whole safetensors file"):
        store.import_path(short, name="tiny", **FACTS)
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"NOPE" + bytes(100))
    with pytest.raises(ModelCorrupt, match="not a GGUF file"):
        store.import_path(gguf, name="tiny", **FACTS)
    assert store.names() == []


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a b"])
def test_names_cannot_leave_the_store(store, qwen2_folder, name):
    with pytest.raises(ModelCorrupt, match="not a model name"):
        store.import_path(qwen2_folder, name=name, **FACTS)
    with pytest.raises(ModelNotFound):
        store.folder(name)


def test_remove(store, qwen2_folder):
    store.import_path(qwen2_folder, name="tiny", **FACTS)
    with pytest.raises(FileExistsError):
        store.import_path(qwen2_folder, name="tiny", **FACTS)
    store.remove("tiny")
    assert store.names() == []
    with pytest.raises(ModelNotFound):
        store.remove("tiny")
