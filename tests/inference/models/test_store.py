import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR])
def test_a_pipe_a_socket_and_a_device_are_refused_and_never_waited_for(store, qwen2_folder, tmp_path, kind):
    laid = tmp_path / "laid"
    shutil.copytree(qwen2_folder, laid)
    try:
        os.mknod(laid / "README.md", kind | 0o600, os.makedev(1, 5) if kind == stat.S_IFCHR else 0)  # /dev/zero
    except PermissionError:
        pytest.skip("only root may make a device")
    with pytest.raises(ModelCorrupt, match=r"README\.md is no plain file"):
        store.import_path(laid, name="tiny", **FACTS)


@pytest.mark.parametrize("replace", ["link", "pipe", "socket"])
def test_what_takes_a_files_place_after_it_was_chosen_is_not_read(store, qwen2_folder, tmp_path, monkeypatch, replace):
    laid, elsewhere = tmp_path / "laid", tmp_path / "elsewhere.json"
    shutil.copytree(qwen2_folder, laid)
    shutil.copy(laid / "config.json", elsewhere)
    choose = store_module.selected

    def chosen(source):
        found = choose(source)
        taken = laid / "config.json"
        taken.unlink()
        if replace == "link":
            taken.symlink_to(elsewhere)
        else:
            os.mknod(taken, (stat.S_IFIFO if replace == "pipe" else stat.S_IFSOCK) | 0o600)
        return found

    monkeypatch.setattr(store_module, "selected", chosen)
    with pytest.raises(ModelCorrupt, match=r"config\.json is no plain file"):
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


FULL = """
import subprocess, sys
from pathlib import Path
from inference.errors import DiskFull
from inference.store import ModelStore

disk, source, size = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
store = ModelStore(disk)

def written(into):
    import torch
    from safetensors.torch import save_file
    save_file({"a": torch.zeros(int(size))}, into / "model.safetensors")

def brought():
    store.import_path(source, name="tiny", licence="MIT", imported_by="test")

def derived():
    from inference.store import Manifest
    parent = Manifest("big", "safetensors", "", "", "MIT", "", "", "", "", ())
    store.derive(parent, "tiny", written, by="test")

for act in (brought, derived):
    try:
        act()
    except DiskFull as error:
        print(error, error.hint, [path.name for path in disk.iterdir()])
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare (util-linux)")
def test_a_disk_that_becomes_full_leaves_nothing_and_is_told(qwen2_folder, tmp_path):
    """On a real file system that is too small by half: while files are copied, and while weights are written."""
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    tried = subprocess.run([*own, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("this host gives nobody mounts of their own")
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(path.stat().st_size for path in qwen2_folder.iterdir()) // 2
    done = subprocess.run(
        [*own, sys.executable, "-c", FULL, str(disk), str(qwen2_folder), str(size)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = "tiny: no space is left on the disk where the models lie. Free some, and try again; nothing half is kept. []"
    assert done.stdout.splitlines() == [told, told], done.stderr
